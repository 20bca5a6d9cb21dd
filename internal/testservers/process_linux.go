package testservers

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the server when the test binary is killed, which runs
// no cleanup.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// hasAttributes reports whether the file system of a folder keeps user attributes of files.
func hasAttributes(dir string) bool {
	const name = "user.hourglass"
	return syscall.Setxattr(dir, name, []byte("1"), 0) == nil && syscall.Removexattr(dir, name) == nil
}
