// Package layers holds no code, only a test: which package of rsm may import
// which, and where each outside library may be used. The table is that of
// docs/architecture.md; a new package needs a line in it.
package layers
