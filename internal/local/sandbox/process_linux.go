package sandbox

import (
	"os/exec"
	"syscall"
)

// contain gives the command a process group and has the kernel kill it with its parent.
func contain(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it fails where the group is gone already
}
