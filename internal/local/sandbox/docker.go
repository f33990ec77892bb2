package sandbox

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// dockerLimit is how long the Docker daemon may take to answer a question.
const dockerLimit = 30 * time.Second

// useImage points r to AWS's own runtime image where the Docker daemon has it and can run it.
func (r *Runtime) useImage(ctx context.Context, image string) error {
	ctx, cancel := context.WithTimeout(ctx, dockerLimit)
	defer cancel()
	if err := run(ctx, "docker", "image", "inspect", image); err != nil {
		return err
	}
	// Without the kernel's help (binfmt_misc) an image of another architecture is there but does not run.
	printed, err := output(ctx, "docker", "run", "--rm", "--platform", r.arch.docker, "--entrypoint", imagePython, image,
		"-c", "import os; print(os.uname().machine)")
	if err != nil {
		return err
	}
	if machine, _, _ := strings.Cut(r.arch.triplet, "-"); !strings.Contains(printed, machine) {
		return fmt.Errorf("running %s: got %s, want %s", image, strings.TrimSpace(printed), machine)
	}
	r.image = image
	return nil
}

// pullImage has Docker pull AWS's runtime image, and points r to it.
func (r *Runtime) pullImage(ctx context.Context, o Options, image string) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return err
	}
	o.say("pulling " + image)
	if err := run(ctx, "docker", "pull", "--quiet", "--platform", r.arch.docker, image); err != nil {
		return err
	}
	return r.useImage(ctx, image)
}

// Paths in AWS's Python images.
const (
	imagePython = "/var/lang/bin/python3"
	imageClient = "/var/runtime"
	imageTask   = "/var/task"
	imageLayers = "/opt"
)

// container is the command that runs an instance in AWS's image, and the name of its container.
func (i *Instance) container(env []string) (command []string, name string) {
	name = "lambda-" + newID()
	command = []string{"docker", "run", "--rm", "--name", name, "--platform", i.runtime.arch.docker, "--workdir", imageTask,
		"-v", i.task + ":" + imageTask + ":ro", "-v", i.layers + ":" + imageLayers + ":ro"}
	if runtime.GOOS == "linux" {
		command = append(command, "--network", "host")
	}
	for _, pair := range env {
		command = append(command, "-e", pair)
	}
	return append(command, "--entrypoint", imagePython, i.runtime.image), name
}

// host is the address at which an instance finds this machine's loopback interface.
func (r *Runtime) host() string {
	if r.image != "" && runtime.GOOS != "linux" {
		return "host.docker.internal" // Docker Desktop runs containers in a virtual machine
	}
	return "127.0.0.1"
}
