// Package follow finds out which server is the master, and proves it.
package follow
