//go:build unix && !linux

package sandbox

import (
	"os/exec"
	"syscall"
)

// contain gives the command a process group.
func contain(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it fails where the group is gone already
}
