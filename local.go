//go:build local

package main

import (
	"os"

	"sample-python-arm64-lambda/internal/local"
)

// main deploys the program to an emulated account on this machine; see make local.
func main() { os.Exit(local.Main(program, os.Args[1:])) }
