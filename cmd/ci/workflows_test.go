package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"sample-python-arm64-lambda/internal/testtools"
)

// actionlint is run from its module at this version.
const actionlint = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

// workflow and action are what is used of their files.
type workflow struct {
	On          yaml.Node
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		Uses    string
		Timeout int `yaml:"timeout-minutes"`
		Env     map[string]string
		Steps   []step
	}
}

type action struct {
	Inputs map[string]any
	Runs   struct{ Steps []step }
}

type step struct {
	Name, ID, If, Uses, Run string
	With, Env               map[string]string
}

func readWorkflow(t *testing.T, file string) *workflow { return readYAML(t, file, &workflow{}) }
func readAction(t *testing.T, file string) *action     { return readYAML(t, file, &action{}) }

func readYAML[T any](t *testing.T, file string, into *T) *T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return into
}

func workflows(t *testing.T) map[string]*workflow {
	t.Helper()
	all := map[string]*workflow{}
	for _, file := range glob(t, filepath.Join(testtools.Root(t), ".github", "workflows", "*.yml")) {
		all[filepath.Base(file)] = readWorkflow(t, file)
	}
	return all
}

func TestWorkflowsAreClean(t *testing.T) {
	zizmor := filepath.Join(filepath.Dir(testtools.Python(t)), "zizmor")
	for _, args := range [][]string{{"go", "run", actionlint}, {zizmor, "--offline", "--pedantic", "--no-progress", ".github"}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = testtools.Root(t)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

func TestWorkflowsAreGuarded(t *testing.T) {
	for file, w := range workflows(t) {
		if w.Permissions == nil || len(w.Permissions) != 0 {
			t.Errorf("%s: permissions at the top are %v, want {}", file, w.Permissions)
		}
		for name, j := range w.Jobs {
			if j.Uses == "" && (j.Timeout == 0 || j.Timeout > 90) {
				t.Errorf("%s, job %s: the timeout is %d minutes, want 1 to 90", file, name, j.Timeout)
			}
			for _, s := range j.Steps {
				if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != "false" {
					t.Errorf("%s, job %s: the checkout leaves the token behind", file, name)
				}
			}
		}
	}
}

// TestNoDeploymentReadsAnothersCache holds that what a job with a role that changes things builds from is out of no cache,
// or, where no pull request starts it, out of one that no other workflow names.
func TestNoDeploymentReadsAnothersCache(t *testing.T) {
	for file, w := range workflows(t) {
		for name, j := range w.Jobs {
			for _, s := range j.Steps {
				role, cache := s.With["role"], s.With["cache"]
				if strings.HasPrefix(s.Uses, "actions/cache") {
					t.Errorf("%s, job %s: has a cache of its own", file, name)
				}
				changes := role != "" && role != "preview" || file == "release.yml"
				if file != "stack.yml" && (changes && cache != "" || cache == "deploy") {
					t.Errorf("%s, job %s: takes role %q with cache %q", file, name, role, cache)
				}
				if file == "stack.yml" && cache != "" && cache != "deploy" {
					t.Errorf("%s, job %s: reads cache %q, which another workflow writes", file, name, cache)
				}
			}
		}
		if file == "stack.yml" || file == "deploy.yml" {
			var on map[string]any
			if err := w.On.Decode(&on); err != nil {
				t.Fatal(err)
			}
			for event := range on {
				if !slices.Contains([]string{"push", "workflow_dispatch", "workflow_call"}, event) {
					t.Errorf("%s is started by %s", file, event)
				}
			}
		}
	}
	for _, s := range readAction(t, filepath.Join(testtools.Root(t), ".github/actions/tools/action.yml")).Runs.Steps {
		if strings.HasPrefix(s.Uses, "actions/cache") && s.If != "inputs.cache != ''" {
			t.Errorf("the cache is read without being asked for: %q", s.If)
		}
		if s.With["cache"] == "true" || s.With["enable-cache"] == "true" || strings.HasPrefix(s.Uses, "actions/setup-go") && s.With["cache"] != "false" {
			t.Errorf("%s has a cache of its own", s.Uses)
		}
	}
}

// TestActionsArePinned holds each use of an action against .github/actions.yml.
func TestActionsArePinned(t *testing.T) {
	root := testtools.Root(t)
	pins := *readYAML(t, filepath.Join(root, ".github/actions.yml"), &map[string]struct {
		Tag, Commit string
		Inputs      []string
	}{})
	used := map[string]bool{}
	check := func(file string, steps []step) {
		for _, s := range steps {
			name, commit, _ := strings.Cut(s.Uses, "@")
			if name == "" {
				continue
			}
			inputs, commented := pins[name].Inputs, true
			if strings.HasPrefix(name, "./") {
				for input := range readAction(t, filepath.Join(root, name, "action.yml")).Inputs {
					inputs = append(inputs, input)
				}
			} else {
				used[name] = true
				text, err := os.ReadFile(file)
				commented = err == nil && strings.Contains(string(text), s.Uses+" # "+pins[name].Tag+"\n")
				if commit != pins[name].Commit {
					t.Errorf("%s: %s is at %q, .github/actions.yml has %q", file, name, commit, pins[name].Commit)
				}
			}
			if !commented {
				t.Errorf("%s: %s has no comment with its tag %s", file, s.Uses, pins[name].Tag)
			}
			for key := range s.With {
				if !slices.Contains(inputs, key) {
					t.Errorf("%s: %s has no input %q", file, name, key)
				}
			}
		}
	}
	for file, w := range workflows(t) {
		for _, j := range w.Jobs {
			check(filepath.Join(root, ".github/workflows", file), j.Steps)
		}
	}
	tools := filepath.Join(root, ".github/actions/tools/action.yml")
	check(tools, readAction(t, tools).Runs.Steps)
	for name := range pins {
		if !used[name] {
			t.Errorf(".github/actions.yml pins %s, which nothing uses", name)
		}
	}
}

// TestPinsAgree holds the versions of the tools action against the pins of tools/.
func TestPinsAgree(t *testing.T) {
	root := testtools.Root(t)
	steps := readAction(t, filepath.Join(root, ".github/actions/tools/action.yml")).Runs.Steps
	for _, pin := range []struct{ action, input, file, pattern string }{
		{"astral-sh/setup-uv", "version", "tools/requirements.txt", `(?m)^uv==(\S+)`},
		{"pulumi/actions", "pulumi-version", "tools/go.mod", `pulumi/pkg/v3 v(\S+)`},
	} {
		text, err := os.ReadFile(filepath.Join(root, pin.file))
		if err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(pin.pattern).FindStringSubmatch(string(text))[1]
		i := slices.IndexFunc(steps, func(s step) bool { return strings.HasPrefix(s.Uses, pin.action+"@") })
		if got := steps[i].With[pin.input]; got != want {
			t.Errorf("%s: %s is %q, %s pins %q", pin.action, pin.input, got, pin.file, want)
		}
	}
}
