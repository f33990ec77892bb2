package sandbox

import (
	"archive/zip"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sample-python-arm64-lambda/internal/local/tools"
)

// repository is the folder of go.mod.
func repository(t *testing.T) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// testOptions are the tools that tests share with each other and with the program.
func testOptions(t *testing.T) Options {
	root := repository(t)
	dir := os.Getenv("LOCAL_TOOLS_DIR")
	if dir == "" {
		dir = filepath.Join(root, ".tools")
	}
	say := func(line string) { t.Log(line) }
	python, err := tools.EnsureVenv(t.Context(), dir, filepath.Join(root, "tools", "requirements.txt"), say)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Dir: dir, UV: tools.UV(python), RuntimeRequirements: filepath.Join(root, "tools", "runtime.txt"), Progress: say}
}

func testRuntime(t *testing.T, arch string) *Runtime {
	r, err := Ensure(t.Context(), testOptions(t), "python3.11", arch)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// writeZip makes a deployment package of files and, where dir is given, of a folder.
func writeZip(t *testing.T, files map[string]string, dir string) string {
	path := filepath.Join(t.TempDir(), "function.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	if dir != "" {
		if err := w.AddFS(os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		member, err := w.Create(name)
		if err == nil {
			_, err = member.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// pydantic installs the sample's dependencies for a platform as uv names it.
func pydantic(t *testing.T, platform string) string {
	dir := t.TempDir()
	uv := testOptions(t).UV
	output, err := exec.CommandContext(t.Context(), uv, "pip", "install", "-q", "--target", dir, "--python-platform", platform,
		"--python-version", "3.11", "--only-binary", ":all:", "pydantic==2.10.5").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return dir
}

const sample = `from pydantic import BaseModel

class User(BaseModel):
    id: int
    name: str
    age: int

def handler(event, context):
    return User(id=1, name="John", age=30).model_dump()
`

// start starts an instance whose files are gone at the test's end.
func start(t *testing.T, r *Runtime, f Function) *Instance {
	f.Name, f.Version, f.Handler, f.Region, f.MemoryMB = "sample", "$LATEST", "main.handler", "eu-west-1", 128
	f.Runtime, f.ARN = "python3.11", "arn:aws:lambda:eu-west-1:123456789012:function:sample"
	if f.Timeout == 0 {
		f.Timeout = 30 * time.Second
	}
	i, err := r.Start(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(i.dir); err == nil {
			t.Errorf("%s is left", i.dir)
		}
	})
	return i
}

func invoke(t *testing.T, i *Instance, payload string) Result {
	t.Helper()
	result, err := i.Invoke(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s\n%s", result.FunctionError, result.Payload, result.Log())
	return result
}

// wantError checks an answer's error and returns its message.
func wantError(t *testing.T, r Result, errorType string) string {
	t.Helper()
	var got struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if r.FunctionError != "Unhandled" || got.ErrorType != errorType {
		t.Fatalf("got %s %q %s, want Unhandled %s", r.FunctionError, got.ErrorType, r.Payload, errorType)
	}
	return got.ErrorMessage
}

func TestSampleRunsAsArm64Code(t *testing.T) {
	i := start(t, testRuntime(t, "arm64"), Function{Zip: writeZip(t, map[string]string{"main.py": sample}, pydantic(t, "aarch64-manylinux2014"))})
	cold := invoke(t, i, "{}")
	if got, want := string(cold.Payload), `{"id": 1, "name": "John", "age": 30}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !strings.HasPrefix(cold.Events[0], "INIT_START Runtime Version: python:3.11") || !strings.Contains(cold.Events[0], "aarch64") {
		t.Errorf("first event %q does not say aarch64", cold.Events[0])
	}
	warm := invoke(t, i, "{}")
	if warm.Init != 0 || cold.Init == 0 || warm.Duration > cold.Init/2 {
		t.Errorf("init %v then %v, durations %v then %v: the second is not warm", cold.Init, warm.Init, cold.Duration, warm.Duration)
	}
	if warm.LogStream != cold.LogStream {
		t.Errorf("log streams %q and %q of one instance", cold.LogStream, warm.LogStream)
	}
}

func TestPackageForAnotherArchitectureCannotBeImported(t *testing.T) {
	i := start(t, testRuntime(t, "arm64"), Function{Zip: writeZip(t, map[string]string{"main.py": sample}, pydantic(t, "x86_64-manylinux2014"))})
	for range 2 { // as Lambda does, each invocation tries again
		message := wantError(t, invoke(t, i, "{}"), "Runtime.ImportModuleError")
		if want := "Unable to import module 'main': No module named 'pydantic_core._pydantic_core'"; message != want {
			t.Errorf("got %q, want %q", message, want)
		}
	}
}

func TestSamplePackageForX86RunsThere(t *testing.T) {
	i := start(t, testRuntime(t, "x86_64"), Function{Zip: writeZip(t, map[string]string{"main.py": sample}, pydantic(t, "x86_64-manylinux2014"))})
	result := invoke(t, i, "{}")
	if result.FunctionError != "" || !strings.Contains(result.Events[0], "x86_64") {
		t.Errorf("got %s", result.Payload)
	}
}

const troubles = `import ctypes, os, sys, time, subprocess
def handler(event, context):
    print("working on", event.get("do"))
    match event.get("do"):
        case "raise": raise ValueError("no such user")
        case "sleep": time.sleep(60)
        case "exit": os._exit(3)
        case "abort": os.abort()
        case "sys.exit": sys.exit(0)
        case "big": return "x" * 7000000
        case "unserialisable": return object()
        case "flood": print("line\n" * 100000)
        case "partial": sys.stderr.write("no newline")
        case "env": return dict(os.environ)
        case "context": return [context.aws_request_id, context.function_name, context.function_version, context.memory_limit_in_mb,
            context.invoked_function_arn, context.log_stream_name, context.get_remaining_time_in_millis()]
    return event
`

func TestTroublesAreReportedAsOnLambda(t *testing.T) {
	i := start(t, testRuntime(t, "arm64"), Function{Zip: writeZip(t, map[string]string{"main.py": troubles}, ""), Timeout: 3 * time.Second})
	for _, c := range []struct{ do, errorType, message string }{
		{"raise", "ValueError", "no such user"},
		{"sleep", "", "Task timed out after 3.00 seconds"},
		{"exit", "Runtime.ExitError", "Runtime exited with error: exit status 3"},
		{"abort", "Runtime.ExitError", "Runtime exited with error: signal: aborted"},
		{"sys.exit", "Runtime.ExitError", "Runtime exited without providing a reason"},
		{"big", "Function.ResponseSizeTooLarge", "6291556"},
		{"unserialisable", "Runtime.MarshalError", "Unable to marshal response"},
	} {
		result := invoke(t, i, `{"do":"`+c.do+`"}`)
		if message := wantError(t, result, c.errorType); !strings.Contains(message, c.message) {
			t.Errorf("%s: got %q, want %q", c.do, message, c.message)
		}
		log := result.Log()
		for _, want := range []string{"START RequestId: " + result.RequestID, "working on " + c.do, "END RequestId: " + result.RequestID, "REPORT RequestId: "} {
			if !strings.Contains(log, want) {
				t.Errorf("%s: the log lacks %q", c.do, want)
			}
		}
		if after := invoke(t, i, `{"ok":1}`); string(after.Payload) != `{"ok": 1}` {
			t.Errorf("after %s: got %s", c.do, after.Payload)
		}
	}
}

func TestFloodedAndUnfinishedOutputIsWhole(t *testing.T) {
	i := start(t, testRuntime(t, "arm64"), Function{Zip: writeZip(t, map[string]string{"main.py": troubles}, "")})
	result, err := i.Invoke(t.Context(), []byte(`{"do":"flood"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(result.Log(), "line\n"); got != 100000 {
		t.Errorf("got %d lines, want 100000", got)
	}
	if log := invoke(t, i, `{"do":"partial"}`).Log(); !strings.Contains(log, "no newline\nEND RequestId") {
		t.Errorf("got %q", log)
	}
}

func TestFunctionSeesLambdasEnvironment(t *testing.T) {
	t.Setenv("AWS_PROFILE", "the-hosts-own")
	i := start(t, testRuntime(t, "arm64"), Function{
		Zip: writeZip(t, map[string]string{"main.py": troubles}, ""),
		Env: map[string]string{"STAGE": "local", "AWS_REGION": "not-to-be-overridden"},
	})
	var env map[string]string
	if err := json.Unmarshal(invoke(t, i, `{"do":"env"}`).Payload, &env); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"STAGE": "local", "AWS_REGION": "eu-west-1", "_HANDLER": "main.handler", "AWS_LAMBDA_FUNCTION_NAME": "sample", "TZ": ":UTC",
		"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "AWS_PROFILE": "", "HOME": "",
	} {
		if env[name] != want {
			t.Errorf("%s: got %q, want %q", name, env[name], want)
		}
	}
	var context []any
	if err := json.Unmarshal(invoke(t, i, `{"do":"context"}`).Payload, &context); err != nil {
		t.Fatal(err)
	}
	if remaining := context[6].(float64); remaining < 20000 || remaining > 30000 {
		t.Errorf("remaining time %v ms, want just below 30000", remaining)
	}
}

func TestLayersComeAfterTheTaskAndBeforeTheLibrary(t *testing.T) {
	layer := writeZip(t, map[string]string{"python/shared.py": "origin = 'layer'", "python/main.py": "raise Exception('hidden')"}, "")
	i := start(t, testRuntime(t, "arm64"), Function{
		Zip:    writeZip(t, map[string]string{"main.py": "import shared\ndef handler(e, c): return shared.origin"}, ""),
		Layers: []string{layer},
	})
	if got := string(invoke(t, i, "").Payload); got != `"layer"` {
		t.Errorf("got %s", got)
	}
}

func TestJSONLogFormatIsOfEventsOnly(t *testing.T) {
	i := start(t, testRuntime(t, "arm64"), Function{
		Zip:       writeZip(t, map[string]string{"main.py": "import logging\ndef handler(e, c): logging.error('oh'); raise ValueError('x')"}, ""),
		LogFormat: "JSON",
	})
	var kinds []string
	for _, event := range invoke(t, i, "{}").Events {
		var e struct{ Type, Level string }
		if err := json.Unmarshal([]byte(event), &e); err != nil {
			t.Fatalf("%q: %v", event, err)
		}
		kinds = append(kinds, e.Type+e.Level)
	}
	if got := strings.Join(kinds, " "); got != "platform.initStart platform.start ERROR ERROR platform.report" {
		t.Errorf("got %s", got)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	code := "import subprocess, time\nchild = subprocess.Popen(['/bin/sleep', '4711'])\ndef handler(e, c): time.sleep(60)"
	i := start(t, testRuntime(t, "arm64"), Function{Zip: writeZip(t, map[string]string{"main.py": code}, "")})
	ended := make(chan error, 1)
	go func() {
		_, err := i.Invoke(context.Background(), nil)
		ended <- err
	}()
	for limit := time.Now().Add(time.Minute); len(processes(t, "4711")) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the function did not start its child in a minute")
		}
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("an invocation that was cut off has no error")
	}
	if left := processes(t, "4711"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if left := processes(t, i.dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// processes are the command lines that contain a text, of processes that still run.
func processes(t *testing.T, text string) (found []string) {
	files, err := fs.Glob(os.DirFS("/proc"), "[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Skip("processes are listed from /proc: run this test on Linux")
	}
	for _, file := range files {
		line, err := os.ReadFile(filepath.Join("/proc", file))
		if err == nil && strings.Contains(string(line), text) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

func TestZipThatLeadsOutOfTheFolderIsRefused(t *testing.T) {
	for _, name := range []string{"../evil.py", "/evil.py", "a/../../evil.py"} {
		err := unzip(writeZip(t, map[string]string{name: ""}, ""), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestMissingRuntimeSaysWhatToDo(t *testing.T) {
	_, err := Ensure(t.Context(), testOptions(t), "python3.99", "arm64")
	for _, want := range []string{"python3.99", "Debian 12", "public.ecr.aws/lambda/python:3.99-arm64"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}
