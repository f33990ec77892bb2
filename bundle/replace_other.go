//go:build !linux

package bundle

import "os"

// replaceFile gives a file its final name at once.
func replaceFile(from, to string) error { return os.Rename(from, to) }
