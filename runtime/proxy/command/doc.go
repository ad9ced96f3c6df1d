// Package command knows what each command of a server does, as far as a proxy
// must know. The flags are read from the server itself.
package command
