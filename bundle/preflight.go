package bundle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moby/moby/client"
)

// Preflight finds out whether the Docker daemon, the one that DOCKER_HOST names or the local one, can build the context
// and push the result: that it is there, runs Linux containers of the platform, has room, has or can pull the base
// image, of the right architecture, and that repository ("" for none) takes the credentials. The error lists what is in
// the way, each with what to do.
func (c *Context) Preflight(ctx context.Context, repository string, auth *RegistryAuth) error {
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
	local := runtime.GOOS == "linux" && strings.HasPrefix(docker.DaemonHost(), "unix://")
	present, baseErr := c.checkBase(ctx, docker)
	errs := []error{baseErr, checkPush(repository, c.Tag, auth)}
	if local { // of a daemon elsewhere only the build can tell: Docker Desktop and most remote builders emulate
		room := uint64(roomWithBase)
		if present {
			room = roomForBuild
		}
		errs = append(errs, c.checkMachine(info.Info.Architecture), checkRoom(info.Info.DockerRootDir, room))
	}
	return errors.Join(errs...)
}

func noDaemon(err error) error {
	return &Error{
		What: "the docker builder needs a Docker daemon (Podman's socket will do), and none answers",
		Cure: "start it, or set DOCKER_HOST to one; or choose builder: wheels, or image: REPOSITORY@sha256:DIGEST, which need none",
		Err:  err,
	}
}

// checkBase says whether the base image is in the daemon, and what is wrong with it, there or in its registry.
func (c *Context) checkBase(ctx context.Context, docker *client.Client) (present bool, err error) {
	base := c.Args["BASE"]
	found, err := docker.ImageInspect(ctx, base)
	if err == nil {
		if platform := "linux/" + found.Architecture; platform != c.Platform {
			return true, &Error{What: fmt.Sprintf("the base image %s in the daemon is for %s, want %s", base, platform, c.Platform), Cure: "docker pull --platform " + c.Platform + " " + base}
		}
		return true, nil
	}
	ref, err := name.ParseReference(base)
	if err != nil {
		return false, &Error{What: fmt.Sprintf("the base image %q is not a reference", base), Cure: "write REPOSITORY:TAG", Err: err}
	}
	if _, err := remote.Head(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return false, &Error{
			What: fmt.Sprintf("the base image %s is not in the daemon and cannot be pulled", base),
			Cure: "check the network and the name; docker logout " + ref.Context().RegistryStr() + " where an old login is refused; or docker load an image of that name",
			Err:  err,
		}
	}
	return false, nil
}

// checkPush says whether the repository takes a push with the credentials.
func checkPush(repository, tag string, auth *RegistryAuth) error {
	if repository == "" {
		return nil
	}
	ref, err := name.ParseReference(repository + ":" + tag)
	if err != nil {
		return &Error{What: fmt.Sprintf("the registry's repository %q is not a name", repository), Cure: "write HOST/REPOSITORY", Err: err}
	}
	err = remote.CheckPushPermission(ref, keychain(auth), http.DefaultTransport)
	if err == nil {
		return nil
	}
	e := &Error{What: fmt.Sprintf("the registry of %s cannot be reached", repository), Cure: "check its name and the network", Err: err}
	var refused *transport.Error
	if errors.As(err, &refused) {
		e.What = fmt.Sprintf("the registry of %s refuses a push with these credentials", repository)
		e.Cure = "docker login " + ref.Context().RegistryStr() + " as someone who may push, or create the repository; for Amazon ECR allow the role ecr:GetAuthorizationToken and the push actions"
	}
	return e
}

// keychain returns the credentials for a registry: the given ones, else those of the Docker config.
func keychain(auth *RegistryAuth) authn.Keychain {
	if auth == nil || auth.Password == "" {
		return authn.DefaultKeychain
	}
	return authn.NewMultiKeychain(fixedKeychain(*auth), authn.DefaultKeychain)
}

// fixedKeychain has the credentials of one registry.
type fixedKeychain RegistryAuth

// Resolve returns the credentials where resource is of their registry, else none.
func (k fixedKeychain) Resolve(resource authn.Resource) (authn.Authenticator, error) {
	if resource.RegistryStr() != k.Server {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: k.Username, Password: k.Password}, nil
}

// binfmt is where Linux lists the interpreters for programs of other machines
// (https://docs.kernel.org/admin-guide/binfmt-misc.html).
const binfmt = "/proc/sys/fs/binfmt_misc/qemu-"

// checkMachine says whether this host, of a daemon's architecture, runs the platform.
func (c *Context) checkMachine(daemonArch string) error {
	if daemonArch == c.target.Machine() {
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

// What a build takes in the daemon's folder, in bytes: the SAM image unpacked and a build on top of it, or the build alone.
const (
	roomWithBase = 4 << 30
	roomForBuild = 512 << 20
)

func checkRoom(dir string, want uint64) error {
	free, ok := freeBytes(dir)
	if !ok || free >= want {
		return nil
	}
	return &Error{
		What: fmt.Sprintf("the disk of Docker's folder %s has %d MB left, and the build takes up to %d MB", dir, free>>20, want>>20),
		Cure: "docker system prune, or free space otherwise",
	}
}
