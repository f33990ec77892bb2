// Package target is the table of AWS Lambda's Python runtimes: what a bundle is built for and checked against.
package target

import (
	"fmt"
	"slices"
	"strings"
)

// Arch is an instruction set of AWS Lambda, in Lambda's own spelling.
type Arch string

// The two architectures that AWS Lambda offers.
const (
	ARM64 Arch = "arm64"
	X8664 Arch = "x86_64"
)

// Default is what is built for where nothing else is said: the sample's python3.11 on arm64.
var Default = Target{Runtime: runtimes[2], Arch: ARM64}

// Runtime is one managed Python runtime of AWS Lambda.
type Runtime struct {
	// Name is Lambda's identifier, for instance "python3.11".
	Name string
	// Python is the language version, for instance "3.11".
	Python string
	// OS is the operating system below the runtime.
	OS OS
}

// Target is a runtime on an architecture. The zero value is not valid; use Parse or Default.
type Target struct {
	Runtime Runtime
	Arch    Arch
}

// runtimes lists the supported managed runtimes, oldest first
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html).
var runtimes = []Runtime{
	{Name: "python3.9", Python: "3.9", OS: AmazonLinux2},
	{Name: "python3.10", Python: "3.10", OS: AmazonLinux2},
	{Name: "python3.11", Python: "3.11", OS: AmazonLinux2},
	{Name: "python3.12", Python: "3.12", OS: AmazonLinux2023},
	{Name: "python3.13", Python: "3.13", OS: AmazonLinux2023},
	{Name: "python3.14", Python: "3.14", OS: AmazonLinux2023},
}

// Parse returns the target named by Lambda's own identifiers, for instance "python3.11" and "arm64".
// The error names the value, and every value that is allowed.
func Parse(runtime, arch string) (Target, error) {
	i := slices.IndexFunc(runtimes, func(r Runtime) bool { return r.Name == runtime })
	if i < 0 {
		return Target{}, fmt.Errorf("runtime %q is not known: want one of %s", runtime, strings.Join(RuntimeNames(), ", "))
	}
	switch Arch(arch) {
	case ARM64, X8664:
		return Target{Runtime: runtimes[i], Arch: Arch(arch)}, nil
	}
	return Target{}, fmt.Errorf("architecture %q is not known: want one of %s, %s", arch, ARM64, X8664)
}

// All returns every target, oldest runtime first.
func All() []Target {
	var all []Target
	for _, r := range runtimes {
		all = append(all, Target{Runtime: r, Arch: ARM64}, Target{Runtime: r, Arch: X8664})
	}
	return all
}

// RuntimeNames returns Lambda's identifiers of the supported runtimes, oldest first.
func RuntimeNames() []string {
	names := make([]string, len(runtimes))
	for i, r := range runtimes {
		names[i] = r.Name
	}
	return names
}

// String returns "python3.11 on arm64".
func (t Target) String() string { return t.Runtime.Name + " on " + string(t.Arch) }

// Machine returns the architecture as Linux and wheel tags spell it: "aarch64" or "x86_64".
func (t Target) Machine() string {
	if t.Arch == ARM64 {
		return "aarch64"
	}
	return "x86_64"
}

// DockerPlatform returns the platform as Docker spells it: "linux/arm64" or "linux/amd64".
func (t Target) DockerPlatform() string {
	if t.Arch == ARM64 {
		return "linux/arm64"
	}
	return "linux/amd64"
}

// BuildImage returns the AWS SAM build image of the target
// (https://gallery.ecr.aws/sam?page=1, one repository per runtime, one tag per architecture).
func (t Target) BuildImage() string {
	return "public.ecr.aws/sam/build-" + t.Runtime.Name + ":latest-" + string(t.Arch)
}

// UVPlatform returns the value of uv's --python-platform whose wheels all load on the target: of the platforms that
// uv knows for both architectures, the newest whose glibc is not newer than the runtime's.
func (t Target) UVPlatform() string {
	if t.Runtime.OS.Glibc.Less(Version{2, 28}) {
		return t.Machine() + "-manylinux2014"
	}
	return t.Machine() + "-manylinux_2_34"
}
