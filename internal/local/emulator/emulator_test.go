package emulator

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"sample-python-arm64-lambda/internal/local/sandbox"
	"sample-python-arm64-lambda/internal/local/tools"
)

const region = "ap-northeast-1" // not moto's default, so that a lost region is noticed

// account is an emulated account and its clients.
type account struct {
	*Emulator
	lambda *lambda.Client
	logs   *cloudwatchlogs.Client
	role   string
}

// testTools are the tools that tests share with each other and with the program.
func testTools(t *testing.T) (python string, options sandbox.Options) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil; _, err = os.Stat(filepath.Join(root, "go.mod")) {
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	dir := os.Getenv("LOCAL_TOOLS_DIR")
	if dir == "" {
		dir = filepath.Join(root, ".tools")
	}
	python, err = tools.EnsureVenv(t.Context(), dir, filepath.Join(root, "tools", "requirements.txt"), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	return python, sandbox.Options{Dir: dir, UV: tools.UV(python), RuntimeRequirements: filepath.Join(root, "tools", "runtime.txt")}
}

// testConfig is an emulator's Config with these tools.
func testConfig(t *testing.T) Config {
	python, options := testTools(t)
	return Config{Python: python, Dir: t.TempDir(), Pool: sandbox.NewPool(options)}
}

func newAccount(t *testing.T) *account {
	e, err := Start(context.Background(), testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), e.Close(), e.Wait()); err != nil {
			t.Error(err)
		}
		if _, err := http.Get(e.URL()); err == nil {
			t.Error("the emulator answers after Close")
		}
	})
	a := clients(t, e.URL())
	a.Emulator = e
	return a
}

// clients makes the clients of an account, and a role in it.
func clients(t *testing.T, url string) *account {
	config := aws.Config{
		Region: region, BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
	a := &account{lambda: lambda.NewFromConfig(config), logs: cloudwatchlogs.NewFromConfig(config)}
	role, err := iam.NewFromConfig(config).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("sample"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	a.role = *role.Role.Arn
	return a
}

func zipOf(t *testing.T, code string) []byte {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	member, err := w.Create("main.py")
	if err == nil {
		_, err = member.Write([]byte(code))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// handler is a function's code that answers with an expression.
func handler(expression string) string {
	return "import os, platform\ndef handler(event, context):\n    print('hello from', platform.machine())\n    return " + expression + "\n"
}

func (a *account) create(t *testing.T, name, code string, change func(*lambda.CreateFunctionInput)) {
	t.Helper()
	input := &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Role: &a.role, Handler: aws.String("main.handler"), Runtime: types.RuntimePython311,
		Architectures: []types.Architecture{types.ArchitectureArm64}, Timeout: aws.Int32(10), Code: &types.FunctionCode{ZipFile: zipOf(t, code)},
	}
	if change != nil {
		change(input)
	}
	if _, err := a.lambda.CreateFunction(t.Context(), input); err != nil {
		t.Fatal(err)
	}
}

func (a *account) update(t *testing.T, name, code string) string {
	t.Helper()
	out, err := a.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: zipOf(t, code), Publish: true})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Version
}

func (a *account) publish(t *testing.T, name string) string {
	t.Helper()
	out, err := a.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Version
}

func (a *account) invoke(t *testing.T, name, qualifier string) *lambda.InvokeOutput {
	t.Helper()
	input := &lambda.InvokeInput{FunctionName: &name, LogType: types.LogTypeTail, Payload: []byte(`{"a":1}`)}
	if qualifier != "" {
		input.Qualifier = &qualifier
	}
	out, err := a.lambda.Invoke(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFunctionRunsAsArm64CodeAndItsLogIsKept(t *testing.T) {
	a := newAccount(t)
	a.create(t, "sample", handler("event"), nil)
	out := a.invoke(t, "sample", "")
	log, err := base64.StdEncoding.DecodeString(*out.LogResult)
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Payload) != `{"a": 1}` || *out.ExecutedVersion != "$LATEST" || out.FunctionError != nil {
		t.Errorf("got %s of version %s", out.Payload, *out.ExecutedVersion)
	}
	if !strings.Contains(string(log), "hello from aarch64") {
		t.Errorf("the log result lacks aarch64: %s", log)
	}
	events, err := a.logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/sample")})
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for _, event := range events.Events {
		kept.WriteString(*event.Message + "\n")
		if want := time.Now().UTC().Format("2006/01/02/") + "[$LATEST]"; !strings.HasPrefix(*event.LogStreamName, want) {
			t.Errorf("log stream %q, want %s…", *event.LogStreamName, want)
		}
	}
	if kept.String() != string(log) {
		t.Errorf("log group has %q, want %q", kept.String(), log)
	}
}

func TestQualifiersAndAliasesReachTheirVersion(t *testing.T) {
	a := newAccount(t)
	a.create(t, "f", handler("[1, context.invoked_function_arn]"), func(in *lambda.CreateFunctionInput) { in.Publish = true })
	if v := a.update(t, "f", handler("[2, context.invoked_function_arn]")); v != "2" {
		t.Fatalf("got version %s, want 2", v)
	}
	alias, err := a.lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("f"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	if err != nil {
		t.Fatal(err)
	}
	arn := strings.TrimSuffix(*alias.AliasArn, ":live")
	for _, c := range []struct{ name, qualifier, payload, version string }{
		{"f", "", `[2, "` + arn + `"]`, "$LATEST"},
		{"f", "1", `[1, "` + arn + `:1"]`, "1"},
		{"f", "2", `[2, "` + arn + `:2"]`, "2"},
		{"f", "live", `[1, "` + arn + `:live"]`, "1"},
		{"f:live", "", `[1, "` + arn + `:live"]`, "1"},
		{*alias.AliasArn, "", `[1, "` + arn + `:live"]`, "1"},
		{arn, "live", `[1, "` + arn + `:live"]`, "1"},
	} {
		out := a.invoke(t, c.name, c.qualifier)
		if string(out.Payload) != c.payload || *out.ExecutedVersion != c.version {
			t.Errorf("%s %s: got %s of version %s, want %s of %s", c.name, c.qualifier, out.Payload, *out.ExecutedVersion, c.payload, c.version)
		}
	}
	a.testWeights(t)
	_, err = a.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Qualifier: aws.String("3")})
	if missing := (*types.ResourceNotFoundException)(nil); !errors.As(err, &missing) {
		t.Errorf("version 3: got %v, want ResourceNotFoundException", err)
	}
}

func (a *account) testWeights(t *testing.T) {
	_, err := a.lambda.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{
		FunctionName: aws.String("f"), Name: aws.String("live"), FunctionVersion: aws.String("1"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for range 60 { // one of two versions is missed once in 2^59 runs
		seen[*a.invoke(t, "f", "live").ExecutedVersion]++
	}
	if seen["1"] == 0 || seen["2"] == 0 {
		t.Errorf("weight 0.5: got %v", seen)
	}
}

func TestVersionsArePublishedAsOnLambda(t *testing.T) {
	a := newAccount(t)
	name := aws.String("f")
	a.create(t, "f", handler("1"), nil)
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got version %s, want %s", what, got, want)
		}
	}
	check("first", a.publish(t, "f"), "1")
	check("nothing changed", a.publish(t, "f"), "1")
	check("the same code again", a.update(t, "f", handler("1")), "1")
	check("other code", a.update(t, "f", handler("2")), "2")
	check("nothing changed", a.publish(t, "f"), "2")
	if _, err := a.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: name, MemorySize: aws.Int32(512)}); err != nil {
		t.Fatal(err)
	}
	check("other configuration", a.publish(t, "f"), "3")
	if _, err := a.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: name, Qualifier: aws.String("3")}); err != nil {
		t.Fatal(err)
	}
	check("after version 3 was deleted", a.update(t, "f", handler("3")), "4")
	versions, err := a.lambda.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, v := range versions.Versions {
		list = append(list, *v.Version)
	}
	check("list", strings.Join(list, " "), "$LATEST 1 2 4")
	for version, want := range map[string]string{"1": "1", "2": "2", "4": "3"} {
		check("code of version "+version, string(a.invoke(t, "f", version).Payload), want)
	}
}

func TestConfigurationIsKeptAsAProviderSetsIt(t *testing.T) {
	a := newAccount(t)
	name := aws.String("f")
	a.create(t, "f", handler("dict(os.environ)"), func(in *lambda.CreateFunctionInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"STAGE": "dev"}}
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, LogGroup: aws.String("/own/group")}
	})
	if out := a.invoke(t, "f", ""); !strings.Contains(string(out.Payload), `"STAGE": "dev"`) {
		t.Errorf("got %s", out.Payload)
	}
	if streams, err := a.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("/own/group")}); err != nil || len(streams.LogStreams) != 1 {
		t.Errorf("log streams of the function's own group: %v, %v", streams, err)
	}
	if _, err := a.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: name, Environment: &types.Environment{}, LoggingConfig: &types.LoggingConfig{LogFormat: types.LogFormatText},
		EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(1024)}, TracingConfig: &types.TracingConfig{Mode: types.TracingModeActive},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: name, ZipFile: zipOf(t, handler("platform.machine()")), Architectures: []types.Architecture{types.ArchitectureX8664},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := a.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Configuration
	if c.State != types.StateActive || c.LastUpdateStatus != types.LastUpdateStatusSuccessful || c.LoggingConfig.LogFormat != types.LogFormatText ||
		*c.LoggingConfig.LogGroup != "/aws/lambda/f" || *c.EphemeralStorage.Size != 1024 || c.TracingConfig.Mode != types.TracingModeActive ||
		c.Architectures[0] != types.ArchitectureX8664 || c.Environment != nil {
		t.Errorf("got %+v", c)
	}
	if out := a.invoke(t, "f", ""); string(out.Payload) != `"x86_64"` {
		t.Errorf("got %s, want x86_64", out.Payload)
	}
}

func TestEveryCallOfAProviderIsAnswered(t *testing.T) {
	a := newAccount(t)
	name := aws.String("f")
	a.create(t, "f", handler("1"), func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"stack": "local"} })
	got, err := a.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: name})
	if err != nil || got.Tags["stack"] != "local" {
		t.Errorf("tags %v, %v", got.Tags, err)
	}
	_, err = a.lambda.ListTags(t.Context(), &lambda.ListTagsInput{Resource: got.Configuration.FunctionArn})
	_, signing := a.lambda.GetFunctionCodeSigningConfig(t.Context(), &lambda.GetFunctionCodeSigningConfigInput{FunctionName: name})
	if err := errors.Join(err, signing); err != nil {
		t.Error(err)
	}
	_, policy := a.lambda.GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: name})
	_, alias := a.lambda.GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: name, Name: aws.String("live")})
	_, function := a.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("g")})
	_, url := a.lambda.GetFunctionUrlConfig(t.Context(), &lambda.GetFunctionUrlConfigInput{FunctionName: name})
	for what, err := range map[string]error{"policy": policy, "alias": alias, "function": function, "url": url} {
		if missing := (*types.ResourceNotFoundException)(nil); !errors.As(err, &missing) {
			t.Errorf("missing %s: got %v, want ResourceNotFoundException", what, err)
		}
	}
	if _, err := a.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: name}); err != nil {
		t.Error(err)
	}
}

func TestErrorsAndInvocationTypesAreLambdas(t *testing.T) {
	a := newAccount(t)
	a.create(t, "f", handler("1/0"), nil)
	out := a.invoke(t, "f", "")
	var body struct{ ErrorType string }
	if err := json.Unmarshal(out.Payload, &body); err != nil || *out.FunctionError != "Unhandled" || body.ErrorType != "ZeroDivisionError" {
		t.Errorf("got %s, %v", out.Payload, err)
	}
	for kind, want := range map[types.InvocationType]int32{types.InvocationTypeEvent: 202, types.InvocationTypeDryRun: 204} {
		out, err := a.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), InvocationType: kind})
		if err != nil || out.StatusCode != want {
			t.Errorf("%s: got %v, %v, want %d", kind, out, err, want)
		}
	}
	_, err := a.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte("{")})
	if invalid := (*types.InvalidRequestContentException)(nil); !errors.As(err, &invalid) {
		t.Errorf("invalid JSON: got %v", err)
	}
	a.create(t, "old", handler("1"), func(in *lambda.CreateFunctionInput) { in.Runtime = "python3.99" })
	_, err = a.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("old")})
	if api := (smithy.APIError)(nil); !errors.As(err, &api) || !strings.Contains(api.ErrorMessage(), "providing python3.99 for arm64") {
		t.Errorf("runtime that cannot be had: got %v", err)
	}
	limit := time.Now().Add(time.Minute)
	for ; a.events(t) < 8; time.Sleep(50 * time.Millisecond) { // the asynchronous one is logged in its time
		if time.Now().After(limit) {
			t.Fatalf("got %d log events in a minute, want those of two invocations", a.events(t))
		}
	}
}

func (a *account) events(t *testing.T) int {
	out, err := a.logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/f")})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Events)
}

func TestLayersReachTheFunction(t *testing.T) {
	a := newAccount(t)
	var layer bytes.Buffer
	w := zip.NewWriter(&layer)
	member, err := w.Create("python/shared.py")
	if err == nil {
		_, err = member.Write([]byte("origin = 'layer'"))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	published, err := a.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{LayerName: aws.String("deps"), Content: &types.LayerVersionContentInput{ZipFile: layer.Bytes()}})
	if err != nil {
		t.Fatal(err)
	}
	a.create(t, "f", "import shared\n"+handler("shared.origin"), func(in *lambda.CreateFunctionInput) { in.Layers = []string{*published.LayerVersionArn} })
	if out := a.invoke(t, "f", ""); string(out.Payload) != `"layer"` {
		t.Errorf("got %s", out.Payload)
	}
}

func TestCurlReachesTheFunction(t *testing.T) {
	a := newAccount(t)
	a.create(t, "f", handler("event"), nil)
	resp, err := http.Post(a.URL()+"/2015-03-31/functions/f/invocations", "application/x-www-form-urlencoded", strings.NewReader(`{"a": [1, "x&y=z"]}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || string(body) != `{"a": [1, "x&y=z"]}` {
		t.Errorf("got %s %s", resp.Status, body)
	}
}

func TestAWSCommandReachesTheFunction(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("no aws on PATH: install the AWS CLI")
	}
	a := newAccount(t)
	a.create(t, "f", handler("platform.machine()"), nil)
	cmd := exec.CommandContext(t.Context(), "aws", "--endpoint-url", a.URL(), "lambda", "invoke", "--function-name", "f", "/dev/stdout")
	cmd.Env = append(os.Environ(), "AWS_DEFAULT_REGION="+region, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
	output, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(output), `"aarch64"`) || !strings.Contains(string(output), `"StatusCode": 200`) {
		t.Errorf("got %v %s", err, output)
	}
}

// TestMain is also the process that TestNothingOutlivesAKilledStarter kills.
func TestMain(m *testing.M) {
	if os.Getenv("EMULATOR_TEST_CONFIG") == "" {
		os.Exit(m.Run())
	}
	var c struct {
		Python, Dir string
		Options     struct{ Dir, UV, RuntimeRequirements string }
	}
	if err := json.Unmarshal([]byte(os.Getenv("EMULATOR_TEST_CONFIG")), &c); err != nil {
		panic(err)
	}
	pool := sandbox.NewPool(sandbox.Options{Dir: c.Options.Dir, UV: c.Options.UV, RuntimeRequirements: c.Options.RuntimeRequirements})
	e, err := Start(context.Background(), Config{Python: c.Python, Dir: c.Dir, Pool: pool})
	if err != nil {
		panic(err)
	}
	fmt.Println(e.URL())
	panic(e.Wait())
}

func TestNothingOutlivesAKilledStarter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are listed from /proc: run this test on Linux")
	}
	c := testConfig(t)
	_, options := testTools(t)
	config, err := json.Marshal(map[string]any{"Python": c.Python, "Dir": c.Dir, "Options": map[string]string{
		"Dir": options.Dir, "UV": options.UV, "RuntimeRequirements": options.RuntimeRequirements,
	}})
	if err != nil {
		t.Fatal(err)
	}
	starter := exec.CommandContext(t.Context(), os.Args[0])
	starter.Env = append(os.Environ(), "EMULATOR_TEST_CONFIG="+string(config))
	stdout, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	a := clients(t, strings.TrimSpace(url))
	a.create(t, "f", handler("os.environ['LAMBDA_TASK_ROOT']"), nil)
	var task string
	if err := json.Unmarshal(a.invoke(t, "f", "").Payload, &task); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(task)) }) //nolint:errcheck // a killed process leaves its temporary files
	if running(t, task) != 1 || running(t, c.Dir) != 1 {
		t.Fatalf("got %d functions and %d motos, want one each", running(t, task), running(t, c.Dir))
	}
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); running(t, task)+running(t, c.Dir) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d functions and %d motos outlive their starter", running(t, task), running(t, c.Dir))
		}
	}
	starter.Wait() //nolint:errcheck // it was killed
}

// running counts processes with a text in their command line.
func running(t *testing.T, text string) (n int) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

func TestAnotherMotoIsRefusedInClearWords(t *testing.T) {
	c := testConfig(t)
	wrapper := filepath.Join(t.TempDir(), "python")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' -I -c \"import runpy, sys, moto.awslambda.models as m; del m.LambdaFunction.invoke; sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')\" \"$@\"\n", c.Python)
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c.Python = wrapper
	e, err := Start(t.Context(), c)
	if err == nil {
		t.Fatal(errors.Join(errors.New("it started"), e.Close()))
	}
	if !strings.Contains(err.Error(), "LambdaFunction.invoke takes None") {
		t.Errorf("got %v", err)
	}
}
