package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// john is what the sample returns.
const john = `{"id":1,"name":"John","age":30}`

// layers returns the layers and the size in bytes of a function's newest configuration.
func (c *checkout) layers(name string) (arns []string, size int64) {
	c.t.Helper()
	f, err := lambda.NewFromConfig(c.aws).GetFunctionConfiguration(c.t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(name)})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, l := range f.Layers {
		arns = append(arns, *l.Arn)
	}
	return arns, f.CodeSize
}

// TestALayerOnAndOff is the row of the deploy matrix for layers.
func TestALayerOnAndOff(t *testing.T) {
	c := newCheckout(t)
	c.up()
	c.set("layer", "true")
	if changes := c.up(); changes["create"] != 1 || changes["update"] != 2 || changes["replace"] != 1 {
		t.Errorf("layer on: got %v, want a layer, function and alias updated, a new smoke test", changes)
	}
	before, size := c.layers(sampleName)
	if len(before) != 1 || size > 1000 {
		t.Errorf("the function has layers %q and %d bytes", before, size)
	}
	c.clean()

	c.replaceIn("src/main.py", "return User", "print(\"changed\")\n    return User")
	if changes := c.up(); changes["update"] != 2 || changes["replace"] != 1 || changes["create"] != 0 {
		t.Errorf("a change in the sources: got %v, want the layer left alone", changes)
	}
	if payload, log := c.invoke(); payload != john || !strings.Contains(log, "changed") {
		t.Errorf("callers get %s\n%s", payload, log)
	}

	c.replaceIn("requirements.txt", "typing-extensions==4.12.2", "typing-extensions==4.13.2")
	if changes := c.up(); changes["create"] != 1 || changes["delete"] != 1 || changes["update"] != 2 {
		t.Errorf("a change of the requirements: got %v, want another layer for the former one", changes)
	}
	after, _ := c.layers(sampleName)
	if len(after) != 1 || after[0] == before[0] {
		t.Errorf("the function has layers %q, before %q", after, before)
	}
	c.set("liveVersion", "2") // whose layer is deleted
	c.up()
	if payload, _ := c.invoke(); payload != john || c.live() != "2" {
		t.Errorf("rolled back to version %s: callers get %s", c.live(), payload)
	}
	c.set("liveVersion", "")

	c.set("layer", "")
	if changes := c.up(); changes["delete"] != 1 {
		t.Errorf("layer off: got %v, want the layer deleted", changes)
	}
	if arns, size := c.layers(sampleName); len(arns) != 0 || size < 1<<20 {
		t.Errorf("the function has layers %q and %d bytes", arns, size)
	}
	if payload, _ := c.invoke(); payload != john {
		t.Errorf("callers get %s", payload)
	}
	c.clean()

	c.set("layer", "true")
	c.set("artifactBucket", "create")
	c.up()
	if payload, _ := c.invoke(); payload != john {
		t.Errorf("a layer through S3: callers get %s", payload)
	}
	c.clean()
	c.destroy()
}

// TestFunctionsOfOneStack deploys two functions with equal requirements.
func TestFunctionsOfOneStack(t *testing.T) {
	c := newCheckout(t)
	if err := os.MkdirAll("src/worker", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("src/main.py", "src/worker/main.py"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS("src/api", os.DirFS("src/worker")); err != nil {
		t.Fatal(err)
	}
	c.replaceIn("Pulumi.local.yaml", "builder", "functions:\n    api: {source: src/api, memorySize: 512}\n    worker: {source: src/worker}\n  builder")
	c.restage()
	for _, layer := range []string{"", "true"} {
		c.set("layer", layer)
		c.up()
		for _, name := range []string{sampleName + "-api", sampleName + "-worker"} {
			if payload, _ := c.call(name); payload != john {
				t.Errorf("callers of %s get %s", name, payload)
			}
		}
		c.clean()
	}
	if trees, err := filepath.Glob(filepath.Join(os.Getenv("BUNDLE_CACHE_DIR"), "*", "deps.zip")); err != nil || len(trees) != 1 {
		t.Errorf("the dependencies were made %d times: %v %v", len(trees), trees, err)
	}
	api, _ := c.layers(sampleName + "-api")
	worker, _ := c.layers(sampleName + "-worker")
	if len(api) != 1 || len(worker) != 1 || api[0] != worker[0] {
		t.Errorf("the functions have layers %q and %q, want one for both", api, worker)
	}
	c.replaceIn("src/worker/main.py", "return User", "print(\"changed\")\n    return User")
	stop, stopWorker := c.callers(sampleName+"-api"), c.callers(sampleName+"-worker")
	if changes := c.up(); changes["update"] != 2 || changes["replace"] != 1 {
		t.Errorf("a change of one function: got %v", changes)
	}
	stop()
	stopWorker()
	outputs, err := c.stack.Outputs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	functions, _ := outputs["functions"].Value.(map[string]any)
	for name, version := range map[string]string{"api": "2", "worker": "3"} {
		f, _ := functions[name].(map[string]any)
		if f["functionName"] != sampleName+"-"+name || f["version"] != version {
			t.Errorf("output of %s: got %v, want version %s", name, f, version)
		}
	}
	c.replaceIn("src/api/main.py", "def handler", "def other")
	if err := os.Rename("src/api/main.py", "src/api/none.py"); err != nil {
		t.Fatal(err)
	}
	var out transcript
	if _, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out)); err == nil || !strings.Contains(out.String(), `bundling function "`+sampleName+`-api"`) {
		t.Errorf("a bad bundle of one function: got %v\n%s", err, &out)
	}
	c.destroy()
}

// TestAProtectedStackIsNotDestroyed is what prod sets.
func TestAProtectedStackIsNotDestroyed(t *testing.T) {
	c := newCheckout(t)
	c.set("protect", "true")
	c.up()
	var out transcript
	if _, err := c.stack.Destroy(t.Context(), optdestroy.ProgressStreams(&out), optdestroy.ErrorProgressStreams(&out)); err == nil || !strings.Contains(out.String(), "protect") {
		t.Errorf("destroy: got %v\n%s", err, &out)
	}
	if payload, _ := c.invoke(); payload != john {
		t.Errorf("callers get %s", payload)
	}
	c.clean()
	c.replaceIn("src/main.py", "return User", "print(\"changed\")\n    return User")
	if changes := c.up(); changes["update"] != 2 { // protection is no obstacle to deploying
		t.Errorf("a change: got %v", changes)
	}
	c.set("functionName", "another")
	if _, err := c.stack.Up(t.Context()); err == nil {
		t.Error("a protected function was replaced")
	}
	if payload, _ := c.invoke(); payload != john {
		t.Errorf("callers get %s", payload)
	}
	c.set("functionName", sampleName)
	c.set("protect", "")
	c.up()
	c.destroy()
}

// TestASecretStaysSecret follows a secret environment variable, which the event of the smoke test has, too: to the function,
// and nowhere else.
func TestASecretStaysSecret(t *testing.T) {
	const secret = "a-value-that-nobody-may-see"
	c := newCheckout(t)
	for _, key := range []string{"environment.TOKEN", "smokeTest.event.token"} {
		if err := c.stack.SetConfigWithOptions(t.Context(), sampleName+":"+key, auto.ConfigValue{Value: secret, Secret: true}, &auto.ConfigOptions{Path: true}); err != nil {
			t.Fatal(err)
		}
	}
	c.replaceIn("src/main.py", "def handler(event, context):\n", "def handler(event, context):\n    import os\n    print(len(os.environ['TOKEN']), event.get('token') == os.environ['TOKEN'])\n")
	var out transcript
	result, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out), optup.Diff())
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if strings.Contains(out.String(), "warning") {
		t.Errorf("reading a secret warns:\n%s", &out)
	}
	if _, log := c.invoke(); !strings.Contains(log+c.logs(), "27 True") {
		t.Errorf("the function does not have it:\n%s", log)
	}
	if c.filesWith("TOKEN") == "" {
		t.Error("the variable is not in the state, so that nothing is shown by its value not being there")
	}
	if files := c.filesWith(secret); files != "" {
		t.Errorf("it is in the files\n%s", files)
	}
	outputs, err := json.Marshal(result.Outputs)
	if err != nil {
		t.Fatal(err)
	}
	previewed, err := c.stack.Preview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"the engine's output": out.String(), "the outputs": string(outputs),
		"the preview": previewed.StdOut + previewed.StdErr, "the emulator's log": c.log.String(), "the function's log": c.logs(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows it:\n%s", where, text)
		}
	}
	if previewed.ChangeSummary[apitype.OpUpdate] != 0 {
		t.Errorf("the next preview is not clean: %v", previewed.ChangeSummary)
	}
}

// filesWith lists the files of the engine and the program that have a text.
func (c *checkout) filesWith(text string) string {
	c.t.Helper()
	files, err := exec.CommandContext(c.t.Context(), "grep", "--recursive", "--files-with-matches", text, ".local", "dist").CombinedOutput()
	if code := new(exec.ExitError); err != nil && (!errors.As(err, &code) || code.ExitCode() != 1) { // 1 is none
		c.t.Fatalf("%v\n%s", err, files)
	}
	return string(files)
}
