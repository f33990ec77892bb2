package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sample-python-arm64-lambda/internal/testtools"
)

var update = flag.Bool("update", false, "write golden files and bootstrap/actions.json anew")

// onlyOnGitHub lists the actions that are not run here, and what stands for each.
var onlyOnGitHub = map[string]string{
	"actions/checkout":                      "the clone, made once; `git clean` before each job",
	"actions/setup-go":                      "the Go that runs this test",
	"astral-sh/setup-uv":                    "uv of tools/requirements.txt, the same version by TestPinsAgree",
	"actions/cache":                         "nothing: a cache only saves time",
	"docker/setup-qemu-action":              "make docker",
	"pulumi/actions":                        "the CLI that tools/go.mod pins, the same version by TestPinsAgree; this test serves the providers",
	"aws-actions/configure-aws-credentials": "any credentials, which the emulated account takes; the policies are held against the calls by checkRoles",
	"pulumi/auth-actions":                   "nothing: the backend is the bucket of bootstrap/",
	"actions/upload-artifact":               "a copy of the files",
	"actions/download-artifact":             "a copy of the files",
}

// notAgain lists the commands that are not run from a test, and why.
var notAgain = map[string]string{
	"make lint lint-workflows": "make test does both before it runs this test",
	"make test":                "this test is a part of it",
	"make race":                "they are in make test, without the race detector",
	"make vulncheck":           "it asks vuln.go.dev, which a test may not need",
}

// job is one job of a workflow that is being run.
type job struct {
	w       *world
	file    string
	name    string
	values  map[string]string // of expressions
	outputs map[string]string // STEP.NAME
	summary string
	log     strings.Builder
}

// run runs the `run:` steps of a job in the clone. values says what its expressions are.
func (w *world) run(file, name string, values map[string]string) (*job, error) {
	w.t.Helper()
	start := time.Now()
	w.git(w.dir, "checkout", "--quiet", "--force", "HEAD")
	w.git(w.dir, "clean", "--quiet", "-fdx")
	j := &job{w: w, file: file, name: name, values: values, outputs: map[string]string{}}
	flow := readWorkflow(w.t, filepath.Join(w.dir, ".github", "workflows", file))
	body, ok := flow.Jobs[name]
	if !ok {
		w.t.Fatalf("%s has no job %s", file, name)
	}
	env := w.env
	env = j.with(env, flow.Env)
	env = j.with(env, body.Env)
	err := j.steps(body.Steps, env)
	j.summary = strings.ReplaceAll(j.summary, w.dir, "DIR")
	w.t.Logf("%s %s: %s, error %v", file, name, time.Since(start).Round(time.Second), err)
	if err != nil && testing.Verbose() {
		w.t.Log(j.log.String())
	}
	return j, err
}

// must runs a job that has to succeed.
func (w *world) must(file, name string, values map[string]string) *job {
	w.t.Helper()
	j, err := w.run(file, name, values)
	if err != nil {
		w.t.Fatalf("%s, job %s: %v\n%s", file, name, err, j.log.String())
	}
	return j
}

func (j *job) steps(steps []step, env map[string]string) error {
	var failed error
	for _, s := range steps {
		if failed != nil && !strings.Contains(s.If, "!cancelled()") {
			continue
		}
		action, _, _ := strings.Cut(s.Uses, "@")
		switch {
		case strings.HasPrefix(action, "./"):
			composite := readAction(j.w.t, filepath.Join(j.w.dir, action, "action.yml"))
			if err := j.steps(composite.Runs.Steps, env); err != nil {
				return err
			}
		case action == "actions/upload-artifact":
			j.copyTo(filepath.Join(j.w.files, "artifacts", j.expand(s.With["name"])), filepath.Join(j.w.dir, j.expand(s.With["path"])))
		case action == "actions/download-artifact":
			found, err := filepath.Glob(filepath.Join(j.w.files, "artifacts", s.With["pattern"])) // none is no error
			if err != nil {
				return err
			}
			for _, from := range found {
				to := filepath.Join(j.w.dir, s.With["path"])
				if s.With["merge-multiple"] != "true" {
					to = filepath.Join(to, filepath.Base(from))
				}
				j.copyTo(to, glob(j.w.t, filepath.Join(from, "*"))...)
			}
		case action != "":
			if onlyOnGitHub[action] == "" {
				j.w.t.Fatalf("%s, job %s: what stands for %s here?", j.file, j.name, action)
			}
		case notAgain[s.Run] != "":
		default:
			if err := j.step(s, j.with(env, s.Env)); err != nil {
				failed = fmt.Errorf("step %q: %w", s.Name, err)
			}
		}
	}
	return failed
}

// step runs one step as the runner does: `bash` is `bash --noprofile --norc -eo pipefail`
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell).
func (j *job) step(s step, env map[string]string) error {
	output, summary := filepath.Join(j.w.files, "output"), filepath.Join(j.w.files, "summary")
	for _, file := range []string{output, summary} {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			j.w.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(j.w.t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
	cmd.Dir, cmd.Stdout, cmd.Stderr = j.w.dir, &j.log, &j.log
	cmd.Env = append(os.Environ(), "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+summary)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	fmt.Fprintf(&j.log, "+ %s\n", s.Run)
	err := cmd.Run()
	written, readErr := os.ReadFile(output)
	if readErr != nil {
		j.w.t.Fatal(readErr)
	}
	for line := range strings.Lines(string(written)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		j.outputs[s.ID+"."+name] = value
	}
	shown, readErr := os.ReadFile(summary)
	if readErr != nil {
		j.w.t.Fatal(readErr)
	}
	j.summary += string(shown)
	return err
}

// with adds an `env:` to another, with its expressions expanded.
func (j *job) with(env, more map[string]string) map[string]string {
	all := map[string]string{}
	for name, value := range env {
		all[name] = value
	}
	for name, value := range more {
		all[name] = j.expand(value)
	}
	return all
}

var expression = regexp.MustCompile(`\$\{\{ (.*?) \}\}`)

func (j *job) expand(text string) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		value, ok := j.values[expression.FindStringSubmatch(e)[1]]
		if !ok {
			j.w.t.Fatalf("%s, job %s: the test does not say what %s is", j.file, j.name, e)
		}
		return value
	})
}

func (j *job) copyTo(dir string, files ...string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		j.w.t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644)
		}
		if err != nil {
			j.w.t.Fatal(err)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files
}

// given are the values of expressions that a repository has; more are added.
func given(more map[string]string) map[string]string {
	values := map[string]string{
		"vars.ARTIFACT_BUCKET": "", "vars.AWS_ACCOUNT_ID": "123456789012", "vars.AWS_REGION || 'ap-northeast-1'": "ap-northeast-1",
		"vars.PULUMI_BACKEND_URL": "", "vars.PULUMI_ORGANIZATION": "", "github.token": "job-token",
	}
	for name, value := range more {
		values[name] = value
	}
	return values
}

// deploy runs deploy.yml's call of stack.yml.
func (w *world) deploy(stack, sha256, image string) *job {
	w.t.Helper()
	return w.must("stack.yml", "up", given(map[string]string{"inputs.stack": stack, "inputs.sha256": sha256, "inputs.image": image}))
}

// event writes the payload of the pull request.
func (w *world) event(head string) {
	w.t.Helper()
	payload := fmt.Sprintf(`{"action": "synchronize", "number": 7, "repository": {"full_name": "octo/sample"},
		"pull_request": {"number": 7, "user": {"login": "mona"}, "head": {"sha": "4f2a91c0000000000000000000000000000000aa", "repo": {"full_name": %q}}}}`, head)
	if err := os.WriteFile(w.env["GITHUB_EVENT_PATH"], []byte(payload), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// TestTheStepsOfTheWorkflowsRun is the life of a pull request: what main deployed, its preview, its merge.
func TestTheStepsOfTheWorkflowsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some minutes: run it without -short")
	}
	w := newWorld(t)
	role := w.bootstrap("octo/sample")
	w.aws.taken()

	// A push to main.
	dev := w.deploy("dev", "", "")
	sum, image := dev.outputs["up.sha256"], dev.outputs["up.image"]
	if !strings.Contains(dev.summary, "version `1`, which passed its smoke test") || len(sum) != 64 {
		t.Errorf("outputs %v, summary:\n%s", dev.outputs, dev.summary)
	}
	if (image != "") != (w.env["REGISTRY"] != "") {
		t.Errorf("image %q with registry %q", image, w.env["REGISTRY"])
	}
	recorded := map[string][]awsCall{"dev": w.aws.taken()}
	for _, stack := range []string{"staging", "prod"} {
		if got := w.deploy(stack, sum, image).outputs["up.sha256"]; got != sum {
			t.Errorf("%s has bundle %s, want %s as on dev", stack, got, sum)
		}
		recorded[stack] = w.aws.taken()
	}
	if j, err := w.run("stack.yml", "up", given(map[string]string{"inputs.stack": "prod", "inputs.sha256": strings.Repeat("0", 64), "inputs.image": image})); err == nil ||
		!strings.Contains(j.log.String(), "the bundle is not the one that is to be promoted") {
		t.Errorf("another bundle was promoted: %v\n%s", err, j.log.String())
	}
	w.aws.taken()

	// The pull request.
	w.git(w.dir, "checkout", "--quiet", "--force", "HEAD")
	w.write("src/main.py", w.read("src/main.py")+"\n# changed\n")
	w.write("requirements.txt", strings.Replace(w.read("requirements.txt"), "typing-extensions==4.12.2", "click==8.1.8\ntyping-extensions==4.13.2", 1))
	w.git(w.dir, "checkout", "--quiet", "-b", "change")
	w.commit("a change")
	w.git(w.dir, "checkout", "--quiet", "--detach", "HEAD^1")
	w.git(w.dir, "merge", "--quiet", "--no-ff", "-m", "merge", "change")
	w.event("octo/sample")
	plan := w.must("preview.yml", "bundle", given(nil))
	if plan.outputs["plan.stacks"] != `["dev","prod","staging"]` || plan.outputs["plan.cloud"] != "true" {
		t.Errorf("got %v", plan.outputs)
	}
	golden(t, "summary.md", plan.summary)
	w.aws.taken()
	for _, stack := range []string{"dev", "prod", "staging"} {
		w.must("preview.yml", "preview", given(map[string]string{"matrix.stack": stack}))
	}
	recorded["preview"] = w.aws.taken()
	for range 2 { // the second time it is edited
		w.must("preview.yml", "comment", given(nil))
		if len(w.hub.comments) != 2 {
			t.Fatalf("got %d comments, want a person's and ours", len(w.hub.comments))
		}
	}
	comment := w.hub.comments[1]["body"].(string)
	golden(t, "comment.md", comment)

	// A later push that affects nothing.
	for _, file := range glob(t, filepath.Join(w.files, "artifacts", "preview-*")) {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
	}
	w.must("preview.yml", "comment", given(nil))
	if got := w.hub.comments[1]["body"].(string); len(w.hub.comments) != 2 || !strings.Contains(got, "None: it affects no stack") {
		t.Errorf("the comment is still\n%s", got)
	}

	// Its merge: what was previewed goes live.
	merged := w.deploy("dev", "", "")
	if got := merged.outputs["up.sha256"]; !strings.Contains(merged.summary, "version `2`") || !strings.Contains(comment, got) {
		t.Errorf("outputs %v, summary:\n%s", merged.outputs, merged.summary)
	}
	recorded["dev"] = append(recorded["dev"], w.aws.taken()...)

	// Its CI, its own stack, and a fork.
	w.must("ci.yml", "lint", given(nil))
	w.must("ci.yml", "test", given(nil))
	if w.env["REGISTRY"] != "" {
		w.must("ci.yml", "parity", given(map[string]string{"matrix.runner": "ubuntu"}))
	}
	w.must("ci.yml", "wheels", given(map[string]string{"matrix.runner": "macos"}))
	w.must("ci.yml", "same", given(nil))
	number := given(map[string]string{"github.event.number || inputs.number": "7", "github.event.pull_request.base.sha": ""})
	w.aws.taken()
	w.must("pr-stack.yml", "up", number)
	w.must("pr-stack.yml", "down", number)
	recorded["pr"] = w.aws.taken()
	w.event("fork/sample")
	if fork := w.must("preview.yml", "bundle", given(nil)); fork.outputs["plan.cloud"] != "false" || !strings.Contains(fork.summary, "added `click`") {
		t.Errorf("a fork gets %v and\n%s", fork.outputs, fork.summary)
	}

	w.local()

	// A pull request that has settings of its own, with two functions and a layer.
	w.write("Pulumi.pr-8.yaml", functionSetting.ReplaceAllString(w.read("Pulumi.dev.yaml"), "")+"  layer: true\n  functions: {one: {}, two: {}}\n")
	w.commit("two functions and a layer")
	number["github.event.number || inputs.number"] = "8"
	w.aws.taken()
	if up := w.must("pr-stack.yml", "up", number); strings.Count(up.summary, "version `1`") != 2 {
		t.Errorf("two functions with a layer: %s", up.summary)
	}
	w.must("pr-stack.yml", "down", number)
	recorded["pr"] = append(recorded["pr"], w.aws.taken()...)

	// A bundle that does not load.
	w.badRequirement()
	bad, err := w.run("preview.yml", "bundle", given(nil))
	if want := "::error file=requirements.txt,line=2,title=ELF-MACHINE::"; err == nil || !strings.Contains(bad.log.String(), want) {
		t.Errorf("got %v, want %s in:\n%s", err, want, bad.log.String())
	}

	// The night.
	w.aws.taken()
	w.drift(recorded)
	w.checkRoles(role, recorded)
}

// local runs what a fork gets in place of the cloud's previews, without what stands for the cloud.
func (w *world) local() {
	w.t.Helper()
	env := w.env
	w.env = maps.Clone(env)
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "PULUMI_DEBUG_PROVIDERS"} {
		w.env[name] = ""
	}
	j := w.must("preview.yml", "local", given(nil))
	w.shell("make local-down")
	w.env = env
	if !strings.Contains(j.summary, `{"id": 1, "name": "John", "age": 30}`) {
		w.t.Errorf("the local stack's summary is\n%s", j.summary)
	}
}

// drift changes the account behind Pulumi's back, and back again.
func (w *world) drift(recorded map[string][]awsCall) {
	w.t.Helper()
	w.must("drift.yml", "drift", given(nil))
	if len(w.hub.issues) != 0 {
		w.t.Fatalf("without drift there is an issue: %v", w.hub.issues)
	}
	recorded["preview"] = append(recorded["preview"], w.aws.taken()...)
	for _, state := range []struct{ memory, want string }{{"512", "open"}, {"256", "closed"}} {
		w.api("PUT", "lambda", "/2015-03-31/functions/sample-python-arm64-lambda/configuration", `{"MemorySize": `+state.memory+`}`)
		// A stack that cannot be compared fails the night, and what another one has is told all the same.
		w.write("Pulumi.staging.yaml", "config: [\n")
		w.commit("settings that nobody can read")
		if j, err := w.run("drift.yml", "drift", given(nil)); err == nil || !strings.Contains(j.log.String(), `comparing stack "staging"`) || len(w.hub.issues) != 1 || w.hub.issues[0]["state"] == "closed" {
			w.t.Errorf("with %s MB and a stack that cannot be compared: %v, issues %v\n%s", state.memory, err, w.hub.issues, j.log.String())
		}
		w.git(w.dir, "reset", "--quiet", "--hard", "HEAD^")
		w.aws.taken()
		w.must("drift.yml", "drift", given(nil))
		issue := w.hub.issues[0]
		if closed := issue["state"] == "closed"; len(w.hub.issues) != 1 || closed != (state.want == "closed") {
			w.t.Errorf("with %s MB: got %v", state.memory, w.hub.issues)
		}
		if body := issue["body"].(string); state.want == "open" && !strings.Contains(body, "memorySize") {
			w.t.Errorf("the issue does not tell what drifted:\n%s", body)
		}
	}
	w.aws.taken()
}

// badRequirement adds a local package with a program for another machine, on line 2 of the requirements.
func (w *world) badRequirement() {
	w.t.Helper()
	w.write("libs/native/pyproject.toml", "[project]\nname = \"native\"\nversion = \"1.0\"\n[build-system]\nrequires = [\"setuptools==80.9.0\"]\nbuild-backend = \"setuptools.build_meta\"\n[tool.setuptools]\npackages = [\"native\"]\n[tool.setuptools.package-data]\nnative = [\"*.so\"]\n")
	w.write("libs/native/native/__init__.py", "")
	w.write("libs/native/program.go", "//go:build ignore\n\npackage main\n\nfunc main() {}\n")
	w.shell(`CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -buildmode=pie -o libs/native/native/core.abi3.so libs/native/program.go && rm libs/native/program.go`)
	lines := strings.SplitN(w.read("requirements.txt"), "\n", 2)
	w.write("requirements.txt", lines[0]+"\n./libs/native\n"+lines[1])
	w.commit("a package for another machine")
}

// api calls the emulated account.
func (w *world) api(method, service, path, body string) string {
	w.t.Helper()
	return send(w.t, method, w.aws.URL+path, service, body)
}

// golden compares with a file of testdata. What differs from run to run is left out.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join(testtools.Root(t), "cmd", "ci", "testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test -update writes it):\n%s\nwant:\n%s", name, got, want)
	}
}

// sortedActions returns the actions of calls, each once.
func sortedActions(calls []awsCall) (actions []string) {
	for _, c := range calls {
		actions = append(actions, c.action)
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}
