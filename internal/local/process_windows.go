package local

import (
	"os"
	"syscall"
)

// detached lets the emulator live on when this process and its console are gone.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt ends a process: Windows has no signal to ask for it.
func interrupt(p *os.Process) error { return p.Kill() }
