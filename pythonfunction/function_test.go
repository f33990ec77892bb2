package pythonfunction

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
)

// recorder is Pulumi's own mock of the engine: it keeps what is registered.
type recorder struct {
	mu        sync.Mutex
	resources map[string]pulumi.MockResourceArgs // by type token
	order     []string
}

func (r *recorder) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resources == nil {
		r.resources = map[string]pulumi.MockResourceArgs{}
	}
	r.resources[a.TypeToken] = a
	r.order = append(r.order, a.TypeToken)
	out := a.Inputs.Copy()
	out["arn"] = resource.NewStringProperty("arn:aws:test:::" + a.Name)
	out["version"] = resource.NewStringProperty("1")
	return a.Name + "-id", out, nil
}

func (r *recorder) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

// function writes a function without dependencies and returns its arguments.
func function(t *testing.T) *Args {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"requirements.txt": "", "src/main.py": "def handler(event, context):\n    return 1\n"} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Args{
		FunctionName: "hello",
		Bundle: bundle.Spec{
			Requirements: filepath.Join(dir, "requirements.txt"), Source: filepath.Join(dir, "src"), Handler: "main.handler", Builder: bundle.Wheels,
		},
		Options:    bundle.Options{CacheDir: filepath.Join(dir, "cache"), UV: "no-such-uv"},
		OutputDir:  filepath.Join(dir, "dist"),
		MemorySize: 512, Timeout: 7, LogRetentionDays: 14,
		Environment: pulumi.StringMap{"LEVEL": pulumi.String("debug")},
		Tags:        pulumi.StringMap{"team": pulumi.String("one")},
	}
}

func deploy(t *testing.T, args *Args) (*recorder, error) {
	t.Helper()
	r := &recorder{}
	return r, pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := New(ctx, "function", args)
		return err
	}, pulumi.WithMocks("project", "dev", r))
}

// inputs returns a registered resource's inputs as plain JSON values.
func (r *recorder) inputs(t *testing.T, token string) map[string]any {
	t.Helper()
	a, ok := r.resources[token]
	if !ok {
		t.Fatalf("%s was not registered, only %q", token, r.order)
	}
	return a.Inputs.Mappable()
}

func expect(t *testing.T, got map[string]any, want string) {
	t.Helper()
	var wanted map[string]any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := json.Marshal(wanted)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(canonical) {
		t.Errorf("got\n%s\nwant\n%s", text, canonical)
	}
}

func TestEveryPropertyThatIsSet(t *testing.T) {
	args := function(t)
	r, err := deploy(t, args)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r.inputs(t, "aws:cloudwatch/logGroup:LogGroup"), `{"name": "/aws/lambda/hello", "retentionInDays": 14, "tags": {"team": "one"}}`)
	expect(t, r.inputs(t, "aws:iam/role:Role"), `{
		"assumeRolePolicy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\",\"Principal\":{\"Service\":\"lambda.amazonaws.com\"}}]}",
		"description": "Execution role of the Lambda function hello", "tags": {"team": "one"}}`)
	expect(t, r.inputs(t, "aws:iam/rolePolicy:RolePolicy"), `{"role": "function-role-id",
		"policy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"logs:CreateLogStream\",\"logs:PutLogEvents\"],\"Resource\":\"arn:aws:test:::function-logs:*\"}]}"}`)
	got := r.inputs(t, "aws:lambda/function:Function")
	if _, ok := r.resources["aws:lambda/function:Function"].Inputs["code"]; !ok {
		t.Error("the function has no code")
	}
	delete(got, "code")
	expect(t, got, `{"name": "hello", "role": "arn:aws:test:::function-role", "runtime": "python3.11", "architectures": ["arm64"],
		"handler": "main.handler", "memorySize": 512, "timeout": 7, "publish": true, "environment": {"variables": {"LEVEL": "debug"}},
		"loggingConfig": {"logFormat": "Text", "logGroup": "/aws/lambda/hello"}, "tags": {"team": "one"}}`)
}

func TestChildrenAreNamedAfterTheComponent(t *testing.T) {
	r, err := deploy(t, function(t))
	if err != nil {
		t.Fatal(err)
	}
	for token, a := range r.resources {
		if token != Type && !strings.HasPrefix(a.Name, "function-") {
			t.Errorf("%s is named %q", token, a.Name)
		}
		if parent := a.RegisterRPC.GetParent(); token != Type && !strings.Contains(parent, Type+"::function") {
			t.Errorf("%s has the parent %q", token, parent)
		}
	}
}

func TestZeroValuesLeaveLambdasDefaults(t *testing.T) {
	args := function(t)
	args.MemorySize, args.Timeout, args.LogRetentionDays, args.Environment, args.Tags = 0, 0, 0, nil, nil
	r, err := deploy(t, args)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"memorySize", "timeout", "environment", "tags"} {
		if v, ok := r.inputs(t, "aws:lambda/function:Function")[key]; ok {
			t.Errorf("%s is set to %v", key, v)
		}
	}
	if v, ok := r.inputs(t, "aws:cloudwatch/logGroup:LogGroup")["retentionInDays"]; ok {
		t.Errorf("retentionInDays is set to %v", v)
	}
}

func TestNothingIsRegisteredForABundleThatWouldNotLoad(t *testing.T) {
	args := function(t)
	args.Bundle.Handler = "other.handler"
	r, err := deploy(t, args)
	if err == nil || !strings.Contains(err.Error(), `bundling function "hello"`) {
		t.Errorf("got %v", err)
	}
	for _, token := range r.order {
		if token != "pulumi:pulumi:Stack" {
			t.Errorf("%s was registered", token)
		}
	}
}
