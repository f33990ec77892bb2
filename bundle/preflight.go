package bundle

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/moby/moby/client"
)

// Preflight asks the Docker daemon, the one that DOCKER_HOST names or the local one, whether it can build the context:
// that it is there, runs Linux containers of the platform, and has no base image of another one under the name. The
// error says what to do. What a registry will answer is not known before.
func (c *Context) Preflight(ctx context.Context) error {
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return noDaemon(err)
	}
	defer docker.Close() //nolint:errcheck // nothing was written
	info, err := docker.Info(ctx, client.InfoOptions{})
	if err != nil {
		return noDaemon(err)
	}
	if info.Info.OSType != "linux" {
		return &Error{What: fmt.Sprintf("the Docker daemon runs %s containers, and a Lambda function is built in a linux one", info.Info.OSType), Cure: "switch Docker to Linux containers"}
	}
	if err := c.canRun(info.Info.Architecture, docker.DaemonHost()); err != nil {
		return err
	}
	base, err := docker.ImageInspect(ctx, c.Args["BASE"])
	if err == nil && base.Architecture != "" && "linux/"+base.Architecture != c.Platform {
		return &Error{
			What: fmt.Sprintf("the base image %s in the daemon is for linux/%s, want %s", c.Args["BASE"], base.Architecture, c.Platform),
			Cure: "docker pull --platform " + c.Platform + " " + c.Args["BASE"],
		}
	}
	return nil
}

func noDaemon(err error) error {
	return &Error{
		What: "the docker builder needs a Docker daemon (Podman's socket will do), and none answers",
		Cure: "start it, or set DOCKER_HOST to one; or choose builder: wheels, or image: REPOSITORY@sha256:DIGEST, which need none",
		Err:  err,
	}
}

// binfmt is where Linux lists the interpreters for programs of other machines
// (https://docs.kernel.org/admin-guide/binfmt-misc.html).
const binfmt = "/proc/sys/fs/binfmt_misc/qemu-"

// canRun says whether a daemon of an architecture runs the platform. Of a daemon elsewhere only the build can tell:
// Docker Desktop and most remote builders emulate.
func (c *Context) canRun(daemonArch, host string) error {
	if daemonArch == c.target.Machine() || runtime.GOOS != "linux" || !strings.HasPrefix(host, "unix://") {
		return nil
	}
	if state, err := os.ReadFile(binfmt + c.target.Machine()); err == nil && strings.HasPrefix(string(state), "enabled") {
		return nil
	}
	return &Error{
		What: fmt.Sprintf("the Docker daemon's host (%s) cannot run %s programs: no emulator is registered", daemonArch, c.target.Machine()),
		Cure: "register QEMU: docker/setup-qemu-action in GitHub Actions, apt-get install qemu-user-static binfmt-support on Debian; or choose builder: wheels",
	}
}
