package bundle

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/internal/testtools"
)

func TestPushIsCheckedBeforeTheBuild(t *testing.T) {
	host := testtools.Guarded(t, registry.New())
	for name, c := range map[string]struct {
		repository string
		auth       *RegistryAuth
		want       string
	}{
		"none is asked for":            {"", nil, ""},
		"the right credentials":        {host + "/team/x", &RegistryAuth{host, "ci", "right"}, ""},
		"wrong credentials":            {host + "/team/x", &RegistryAuth{host, "ci", "wrong"}, "refuses a push"},
		"no credentials":               {host + "/team/x", nil, "docker login " + host},
		"credentials of another host":  {host + "/team/x", &RegistryAuth{"other.example", "ci", "right"}, "refuses a push"},
		"a registry that is not there": {"127.0.0.1:1/team/x", nil, "cannot be reached"},
		"no name":                      {"Team/X Y", nil, "is not a name"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkPush(c.repository, "deps-1", c.auth)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "cure:")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRoomIsChecked(t *testing.T) {
	if _, ok := freeBytes(t.TempDir()); !ok {
		t.Skip("the room on a disk cannot be told on this system")
	}
	if err := checkRoom(t.TempDir(), 1); err != nil {
		t.Errorf("one byte: %v", err)
	}
	if err := checkRoom(t.TempDir(), 1<<62); err == nil || !strings.Contains(err.Error(), "docker system prune") {
		t.Errorf("four exabytes: got %v", err)
	}
	if err := checkRoom("/no/such/folder", 1<<62); err != nil {
		t.Errorf("a folder that cannot be asked: %v", err)
	}
}

func TestAMachineWithoutAnEmulatorIsTold(t *testing.T) {
	c := &Context{target: target.Default}
	if err := c.checkMachine("aarch64"); err != nil {
		t.Errorf("the machine itself: %v", err)
	}
	foreign := &Context{target: target.Target{Runtime: target.Default.Runtime, Arch: "x86_64"}}
	if err := foreign.checkMachine("riscv64"); err == nil || !strings.Contains(err.Error(), "register QEMU") {
		t.Errorf("x86_64 on riscv64: got %v", err)
	}
}
