//go:build !windows

package local

import (
	"os"
	"syscall"
)

// detached lets the emulator live on when this process and its terminal are gone.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// interrupt asks a process to end.
func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
