package pythonfunction

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
)

// recorder is Pulumi's own mock of the engine: it keeps what is registered.
type recorder struct {
	mu        sync.Mutex
	resources map[string]pulumi.MockResourceArgs // by type token
	order     []string
	policies  []string          // names of the role's policies
	documents map[string]string // inline ones
	managed   []string          // ARNs of the others
	all       []pulumi.MockResourceArgs
	image     string // digest of the image that is "built"
	live      string // version that the alias points at before
	asked     string // the provider of the question for it
	failure   error  // of the question for it
}

func (r *recorder) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resources == nil {
		r.resources, r.documents = map[string]pulumi.MockResourceArgs{}, map[string]string{}
	}
	r.resources[a.TypeToken] = a
	r.order, r.all = append(r.order, a.TypeToken), append(r.all, a)
	switch a.TypeToken {
	case "aws:iam/rolePolicy:RolePolicy":
		r.policies, r.documents[a.Name] = append(r.policies, a.Name), a.Inputs["policy"].StringValue()
	case "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
		r.policies, r.managed = append(r.policies, a.Name), append(r.managed, a.Inputs["policyArn"].StringValue())
	}
	out := a.Inputs.Copy()
	out["arn"] = resource.NewStringProperty("arn:aws:test:::" + a.Name)
	out["version"] = resource.NewStringProperty("1")
	out["result"] = resource.NewStringProperty("1")
	out["repoDigest"] = resource.NewStringProperty(r.image)
	out["functionUrl"] = resource.NewStringProperty("https://url.test")
	return a.Name + "-id", out, nil
}

func (r *recorder) Call(a pulumi.MockCallArgs) (resource.PropertyMap, error) {
	if a.Token == "aws:ecr/getAuthorizationToken:getAuthorizationToken" {
		return resource.PropertyMap{"userName": resource.NewStringProperty("AWS"), "password": resource.NewStringProperty("of-" + a.Args["registryId"].StringValue())}, r.failure
	}
	r.asked = a.Provider
	return resource.PropertyMap{"functionVersion": resource.NewStringProperty(r.live)}, r.failure
}

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

// count returns how many resources of a type were registered.
func (r *recorder) count(token string) (n int) {
	for _, registered := range r.order {
		if registered == token {
			n++
		}
	}
	return n
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
	expect(t, r.inputs(t, "aws:cloudwatch/logGroup:LogGroup"), `{"name": "/aws/lambda/hello", "retentionInDays": 14, "tags": {"project": "project", "stack": "dev", "team": "one"}}`)
	expect(t, r.inputs(t, "aws:iam/role:Role"), `{
		"assumeRolePolicy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\",\"Principal\":{\"Service\":\"lambda.amazonaws.com\"}}]}",
		"description": "Execution role of the Lambda function hello", "path": "/project/dev/", "tags": {"project": "project", "stack": "dev", "team": "one"}}`)
	expect(t, r.inputs(t, "aws:iam/rolePolicy:RolePolicy"), `{"role": "function-role-id",
		"policy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"logs:CreateLogStream\",\"logs:PutLogEvents\"],\"Resource\":\"arn:aws:test:::function-logs:*\"}]}"}`)
	got := r.inputs(t, "aws:lambda/function:Function")
	if _, ok := r.resources["aws:lambda/function:Function"].Inputs["code"]; !ok {
		t.Error("the function has no code")
	}
	delete(got, "code")
	expect(t, got, `{"name": "hello", "role": "arn:aws:test:::function-role", "runtime": "python3.11", "architectures": ["arm64"],
		"handler": "main.handler", "memorySize": 512, "timeout": 7, "publish": true, "environment": {"variables": {"LEVEL": "debug"}},
		"loggingConfig": {"logFormat": "JSON", "logGroup": "/aws/lambda/hello"}, "tags": {"project": "project", "stack": "dev", "team": "one"}}`)
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
	for _, key := range []string{"memorySize", "timeout", "environment", "ephemeralStorage", "deadLetterConfig", "tracingConfig", "vpcConfig", "reservedConcurrentExecutions"} {
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

func TestEveryOptionThatIsAskedFor(t *testing.T) {
	args := function(t)
	args.EphemeralStorage, args.ReservedConcurrency, args.Tracing, args.LogFormat = 1024, pulumi.Int(5), true, "Text"
	args.DeadLetterTarget = pulumi.String("arn:aws:sqs:eu-west-1:123456789012:failed")
	args.VPC = &lambda.FunctionVpcConfigArgs{SubnetIds: pulumi.StringArray{pulumi.String("subnet-1")}, SecurityGroupIds: pulumi.StringArray{pulumi.String("sg-1")}}
	args.URL = &URL{}
	args.Policies = map[string]pulumi.StringInput{"table-policy": pulumi.String(`{"Statement": []}`)}
	args.ManagedPolicies = []string{"arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"}
	args.SmokeTest = &SmokeTest{Event: json.RawMessage(`{ "a": 1 }`), Expect: json.RawMessage(`1`)}
	r, err := deploy(t, args)
	if err != nil {
		t.Fatal(err)
	}
	got := r.inputs(t, "aws:lambda/function:Function")
	want := map[string]string{
		"ephemeralStorage": `{"size":1024}`, "reservedConcurrentExecutions": "5", "tracingConfig": `{"mode":"Active"}`,
		"deadLetterConfig": `{"targetArn":"arn:aws:sqs:eu-west-1:123456789012:failed"}`,
		"vpcConfig":        `{"securityGroupIds":["sg-1"],"subnetIds":["subnet-1"]}`,
		"loggingConfig":    `{"logFormat":"Text","logGroup":"/aws/lambda/hello"}`,
	}
	for key, value := range want {
		if text, err := json.Marshal(got[key]); err != nil || string(text) != value {
			t.Errorf("%s: got %s, want %s", key, text, value)
		}
	}
	expect(t, r.inputs(t, "aws:lambda/invocation:Invocation"), `{"functionName": "hello", "qualifier": "1", "input": "{\"a\":1}"}`)
	expect(t, r.inputs(t, "aws:lambda/alias:Alias"), `{"name": "live", "functionName": "hello", "functionVersion": "1", "description": "The version that callers get"}`)
	expect(t, r.inputs(t, "aws:lambda/functionUrl:FunctionUrl"), `{"functionName": "hello", "qualifier": "live", "authorizationType": "AWS_IAM"}`)
	names := slices.Sorted(slices.Values(r.policies))
	if want := []string{"function-AWSLambdaVPCAccessExecutionRole", "function-AWSXRayDaemonWriteAccess", "function-dead-letter-policy", "function-logs-policy", "function-table-policy"}; !slices.Equal(names, want) {
		t.Errorf("policies: got %q, want %q", names, want)
	}
	managed := slices.Sorted(slices.Values(r.managed))
	if want := []string{"arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess", args.ManagedPolicies[0]}; !slices.Equal(managed, want) {
		t.Errorf("managed policies: got %q, want %q", managed, want)
	}
}

func TestNoPolicyThatIsGeneratedAllowsEverything(t *testing.T) {
	for _, target := range []string{"arn:aws:sqs:eu-west-1:123456789012:failed", "arn:aws:sns:eu-west-1:123456789012:failed"} {
		args := function(t)
		args.DeadLetterTarget = pulumi.String(target)
		r, err := deploy(t, args)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range r.documents {
			var document policyDocument
			if err := json.Unmarshal([]byte(text), &document); err != nil {
				t.Fatal(err)
			}
			for _, s := range document.Statement {
				if s.Resource == "*" || s.Resource == "" || strings.Contains(fmt.Sprint(s.Action), "*") {
					t.Errorf("%s allows %v on %q", name, s.Action, s.Resource)
				}
			}
		}
		if len(r.documents) != 2 {
			t.Errorf("got %d policies, want 2", len(r.documents))
		}
	}
}

// TestAPinnedVersionIsTested pins the alias: the version that is invoked is the one that callers are to get.
func TestAPinnedVersionIsTested(t *testing.T) {
	args := function(t)
	args.LiveVersion, args.CanaryWeight, args.SmokeTest = "7", 0.5, &SmokeTest{Expect: json.RawMessage(`1`)}
	r, err := deploy(t, args)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r.inputs(t, "aws:lambda/invocation:Invocation"), `{"functionName": "hello", "qualifier": "7", "input": "{}"}`)
	expect(t, r.inputs(t, "aws:lambda/alias:Alias"), `{"name": "live", "functionName": "hello", "functionVersion": "7", "description": "The version that callers get"}`)

	args.SmokeTest.Expect = json.RawMessage(`2`)
	r, err = deploy(t, args)
	for _, want := range []string{"version 7", "got  1", "want 2", "pulumi up --replace 'urn:pulumi:dev::project::" + Type + "$aws:lambda/invocation:Invocation::function-smoke-test'"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, moved := r.resources["aws:lambda/alias:Alias"]; moved {
		t.Error("the alias was moved")
	}
}

// TestASecretSmokeTest keeps event and result to itself.
func TestASecretSmokeTest(t *testing.T) {
	args := function(t)
	args.SmokeTest = &SmokeTest{Event: json.RawMessage(`"a-secret"`), Expect: json.RawMessage(`"another"`), Secret: true}
	r, err := deploy(t, args)
	if err == nil || !strings.Contains(err.Error(), "want [secret]") || strings.Contains(err.Error(), "another") {
		t.Errorf("got %v, want an error that does not tell", err)
	}
	invocation := r.resources["aws:lambda/invocation:Invocation"]
	if !invocation.Inputs["input"].IsSecret() || !slices.Equal(invocation.RegisterRPC.GetAdditionalSecretOutputs(), []string{"result"}) {
		t.Errorf("the event is %v, secret are further %q", invocation.Inputs["input"], invocation.RegisterRPC.GetAdditionalSecretOutputs())
	}

	args = function(t)
	args.SmokeTest = &SmokeTest{Event: json.RawMessage(`"a-secret"`), Secret: true}
	if r, err = deploy(t, args); err != nil {
		t.Fatal(err)
	}
	if got := r.resources["aws:lambda/alias:Alias"].Inputs["functionVersion"]; !got.IsString() {
		t.Errorf("the alias points at %v", got)
	}
}

func TestTheCanaryGetsItsShare(t *testing.T) {
	for name, c := range map[string]struct {
		live    string // what the alias points at before, "" for no alias
		failure error
		want    string
	}{
		"an alias at the version before": {"0", nil, `{"name": "live", "functionName": "hello", "functionVersion": "0", "description": "The version that callers get", "routingConfig": {"additionalVersionWeights": {"1": 0.25}}}`},
		"an alias at the newest":         {"1", nil, `{"name": "live", "functionName": "hello", "functionVersion": "1", "description": "The version that callers get", "routingConfig": null}`},
		"no alias":                       {"", errors.New("ResourceNotFoundException: no alias"), `{"name": "live", "functionName": "hello", "functionVersion": "1", "description": "The version that callers get"}`},
		"no alias, as newer ones say it": {"", errors.New("reading Lambda Alias: couldn't find resource"), `{"name": "live", "functionName": "hello", "functionVersion": "1", "description": "The version that callers get"}`},
		"an alias that cannot be read":   {"", errors.New("AccessDeniedException"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			args := function(t)
			args.CanaryWeight = 0.25
			r := &recorder{live: c.live, failure: c.failure}
			err := pulumi.RunErr(func(ctx *pulumi.Context) error {
				provider, err := aws.NewProvider(ctx, "other", &aws.ProviderArgs{})
				if err != nil {
					return err
				}
				_, err = New(ctx, "function", args, pulumi.Provider(provider))
				return err
			}, pulumi.WithMocks("project", "dev", r))
			if !strings.Contains(r.asked, "::other::") {
				t.Errorf("the provider %q was asked for the alias", r.asked)
			}
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			expect(t, r.inputs(t, "aws:lambda/alias:Alias"), c.want)
		})
	}
}

func TestTheSmokeTestComparesJSONValues(t *testing.T) {
	for _, c := range []struct {
		expect, result string
		ok             bool
	}{
		{`{"a": 1, "b": [2]}`, `{"b":[2],"a":1.0}`, true},
		{`{"a": 1}`, `{"a": 1, "b": 2}`, false},
		{`null`, `null`, true},
		{`1`, `not JSON`, false},
		{``, `anything`, true},
	} {
		test := &SmokeTest{}
		if c.expect != "" {
			test.Expect = json.RawMessage(c.expect)
		}
		if err := test.check("3", c.result, "urn"); (err == nil) != c.ok {
			t.Errorf("%s against %s: %v", c.result, c.expect, err)
		}
	}
}

func TestRegistriesAreToldApart(t *testing.T) {
	for repository, server := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/x": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
		"localhost:5000/x": "localhost:5000", "localhost/x": "localhost", "team/x": "docker.io", "ghcr.io/team/x": "ghcr.io",
	} {
		r := &Registry{Repository: repository}
		if got := r.server(); got != server {
			t.Errorf("%s: got %s, want %s", repository, got, server)
		}
		if isECR := ecrHost.MatchString(r.server()); isECR != strings.Contains(repository, ".ecr.") {
			t.Errorf("%s: Amazon ECR %v", repository, isECR)
		}
	}
}
