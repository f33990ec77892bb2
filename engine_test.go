package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"sample-python-arm64-lambda/internal/local"
	"sample-python-arm64-lambda/internal/local/emulator"
	"sample-python-arm64-lambda/internal/local/sandbox"
	"sample-python-arm64-lambda/internal/local/tools"
	"sample-python-arm64-lambda/internal/testtools"
)

// sampleName is the function of the local stack.
const sampleName = "sample-python-arm64-lambda"

// checkout is a copy of the sample with the real engine, an emulated account and arm64 execution.
type checkout struct {
	t     *testing.T
	dir   string
	local *local.Local
	url   string
	stack *auto.Stack
	// providers are further ones that this process serves, with their ports.
	providers map[string]int
	aws       aws.Config
	log       transcript
	settings  map[string]string // that the test gave the stack
}

// transcript keeps what is printed. The engine writes its two streams at the same time.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// newCheckout copies the sample, enters the copy, and opens its local stack.
func newCheckout(t *testing.T) *checkout {
	t.Helper()
	root, dir, kept := testtools.Root(t), t.TempDir(), testtools.Dir(t)
	for _, name := range []string{"Pulumi.yaml", "Pulumi.local.yaml", "requirements.txt", "src/main.py", "tools/go.mod", "tools/go.sum", "tools/requirements.txt", "tools/runtime.txt"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := &checkout{t: t, dir: dir, settings: map[string]string{}}
	python := testtools.Python(t)
	t.Setenv("PATH", filepath.Dir(python)+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("BUNDLE_CACHE_DIR", filepath.Join(t.TempDir(), "cache"))
	t.Chdir(dir)
	account, err := emulator.Start(t.Context(), emulator.Config{
		Python: python, Dir: filepath.Join(dir, "account"), Log: &c.log,
		Pool: sandbox.NewPool(sandbox.Options{Dir: kept, UV: tools.UV(python), RuntimeRequirements: filepath.Join(root, "tools", "runtime.txt")}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { account.Close() }) //nolint:errcheck // the test's own result is told
	c.local, c.url = local.New(program, dir, kept, &c.log), account.URL()
	c.restage()
	c.aws, err = config.LoadDefaultConfig(t.Context(), config.WithBaseEndpoint(account.URL()), config.WithRegion("ap-northeast-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// restage opens the stack with the settings that the checkout has now.
func (c *checkout) restage() {
	c.t.Helper()
	stack, end, err := c.local.Stack(c.t.Context(), c.url, c.providers)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { end() }) //nolint:errcheck // the test's own result is told
	c.stack = stack
}

// up deploys and returns how many resources were handled in which way: just as a preview said before.
func (c *checkout) up() map[string]int {
	c.t.Helper()
	foreseen := c.preview()
	changes := c.deploy()
	done := map[apitype.OpType]int{}
	for op, n := range changes {
		if op != string(apitype.OpSame) {
			done[apitype.OpType(op)] = n
		}
	}
	if !maps.Equal(foreseen, done) {
		c.t.Errorf("the preview said %v, the update did %v", foreseen, done)
	}
	return changes
}

// deploy is up without the preview.
func (c *checkout) deploy() map[string]int {
	c.t.Helper()
	var out transcript
	result, err := c.stack.Up(c.t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out), optup.ShowSecrets(false))
	if err != nil {
		c.t.Fatalf("up: %v\n%s", err, &out)
	}
	return *result.Summary.ResourceChanges
}

// preview returns what an update would do, the same resources left out.
func (c *checkout) preview() map[apitype.OpType]int {
	c.t.Helper()
	result, err := c.stack.Preview(c.t.Context())
	if err != nil {
		c.t.Fatalf("preview: %v", err)
	}
	delete(result.ChangeSummary, apitype.OpSame)
	return result.ChangeSummary
}

// invoke returns the sample's answer, compact, and what the runtime logged.
func (c *checkout) invoke() (payload, log string) {
	c.t.Helper()
	return c.call(sampleName)
}

// call invokes what callers of a function get.
func (c *checkout) call(name string) (payload, log string) {
	c.t.Helper()
	out, err := lambda.NewFromConfig(c.aws).Invoke(c.t.Context(), &lambda.InvokeInput{FunctionName: aws.String(name + ":live"), LogType: "Tail"})
	if err != nil {
		c.t.Fatal(err)
	}
	if out.FunctionError != nil {
		c.t.Fatalf("the function failed: %s", out.Payload)
	}
	text, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		c.t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out.Payload); err != nil {
		c.t.Fatal(err)
	}
	return compact.String(), string(text)
}

// logs returns the function's log group.
func (c *checkout) logs() string {
	c.t.Helper()
	out, err := cloudwatchlogs.NewFromConfig(c.aws).FilterLogEvents(c.t.Context(), &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String("/aws/lambda/" + sampleName),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, *e.Message)
	}
	return strings.Join(lines, "\n")
}

// plain makes the function one whose start takes no time under emulation, for tests that start many.
func (c *checkout) plain() {
	c.t.Helper()
	if err := os.WriteFile("src/main.py", []byte("def handler(event, context):\n    return {\"id\": 1, \"name\": \"John\", \"age\": 30}\n"), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// write writes a file of the checkout.
func (c *checkout) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// replaceIn changes a file of the checkout.
func (c *checkout) replaceIn(name, from, to string) {
	c.t.Helper()
	file := filepath.Join(c.dir, name)
	data, err := os.ReadFile(file)
	if err != nil {
		c.t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		c.t.Fatalf("%s does not have %q", name, from)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), from, to, 1)), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// destroy removes the stack's resources, and holds that nothing is left.
func (c *checkout) destroy() {
	c.t.Helper()
	var out transcript
	if _, err := c.stack.Destroy(c.t.Context(), optdestroy.ProgressStreams(&out), optdestroy.ErrorProgressStreams(&out)); err != nil {
		c.t.Fatalf("%v\n%s", err, &out)
	}
	if left := c.leftovers(); left != nil {
		c.t.Errorf("destroy left %q", left)
	}
}

// clean holds that a preview shows nothing.
func (c *checkout) clean() {
	c.t.Helper()
	if changes := c.preview(); len(changes) != 0 {
		c.t.Errorf("preview without a change: %v", changes)
	}
}

// leftovers lists what the emulated account still has.
func (c *checkout) leftovers() []string {
	c.t.Helper()
	var left []string
	functions, err := lambda.NewFromConfig(c.aws).ListFunctions(c.t.Context(), &lambda.ListFunctionsInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range functions.Functions {
		left = append(left, "function "+*f.FunctionName)
	}
	layers, err := lambda.NewFromConfig(c.aws).ListLayers(c.t.Context(), &lambda.ListLayersInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, l := range layers.Layers {
		left = append(left, "layer "+*l.LayerName)
	}
	roles, err := iam.NewFromConfig(c.aws).ListRoles(c.t.Context(), &iam.ListRolesInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range roles.Roles {
		left = append(left, "role "+*r.RoleName)
	}
	groups, err := cloudwatchlogs.NewFromConfig(c.aws).DescribeLogGroups(c.t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, g := range groups.LogGroups {
		left = append(left, "log group "+*g.LogGroupName)
	}
	buckets, err := c.s3().ListBuckets(c.t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, b := range buckets.Buckets {
		left = append(left, "bucket "+*b.Name)
	}
	return left
}

func (c *checkout) s3() *s3.Client {
	return s3.NewFromConfig(c.aws, func(o *s3.Options) { o.UsePathStyle = true })
}

// TestTheMainJob goes the whole way: preview, up, up without a change, a change in the sources, destroy.
func TestTheMainJob(t *testing.T) {
	c := newCheckout(t)
	if got := c.preview()[apitype.OpCreate]; got != 8 { // the stack, the component, and its role, policy, logs, function, smoke test and alias
		t.Errorf("preview: %d resources to create, want 8", got)
	}
	if changes := c.up(); changes["create"] != 8 {
		t.Errorf("up: got %v, want 8 created", changes)
	}
	payload, _ := c.invoke()
	if want := `{"id":1,"name":"John","age":30}`; payload != want {
		t.Errorf("invoked: got %s, want %s", payload, want)
	}
	if log := c.logs(); !strings.Contains(log, "aarch64") {
		t.Errorf("the runtime does not say aarch64:\n%s", log)
	}
	c.checkDigest()
	if changes := c.preview(); len(changes) != 0 {
		t.Errorf("preview without a change: got %v", changes)
	}
	if changes := c.up(); len(changes) != 1 || changes["same"] != 8 {
		t.Errorf("up without a change: got %v, want 8 the same", changes)
	}
	c.replaceIn("src/main.py", "return User", "print(\"changed\")\n    return User")
	if changes := c.up(); changes["update"] != 2 || changes["replace"] != 1 || changes["same"] != 5 {
		t.Errorf("up after a change in the sources: got %v, want the function and the alias updated, a new smoke test, and 5 the same", changes)
	}
	if _, log := c.invoke(); !strings.Contains(log, "changed") {
		t.Errorf("the alias leads to the former version:\n%s", log)
	}
	c.checkDigest()
	c.promote()
	c.destroy()
}

// promote holds that a stack that names a digest gets that bundle or none.
func (c *checkout) promote() {
	c.t.Helper()
	outputs, err := c.stack.Outputs(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	deployed, _ := outputs["bundle"].Value.(map[string]any)
	sum, _ := deployed["sha256"].(string)
	c.set("bundleSha256", sum)
	c.clean()
	c.replaceIn("src/main.py", "changed", "changed again")
	var out transcript
	if _, err := c.stack.Up(c.t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out)); err == nil || !strings.Contains(out.String(), "want "+sum) {
		c.t.Errorf("another bundle than %s: %v\n%s", sum, err, &out)
	}
}

// checkDigest compares what AWS says it has with the zip.
func (c *checkout) checkDigest() {
	c.t.Helper()
	f, err := lambda.NewFromConfig(c.aws).GetFunction(c.t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(sampleName)})
	if err != nil {
		c.t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join("dist", sampleName+".zip"))
	if err != nil {
		c.t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if want := base64.StdEncoding.EncodeToString(sum[:]); *f.Configuration.CodeSha256 != want {
		c.t.Errorf("CodeSha256: got %s, want %s", *f.Configuration.CodeSha256, want)
	}
}

// TestABadBundleRegistersNothing deploys the article's fault, x86_64 packages for arm64, and a misspelt setting.
func TestABadBundleRegistersNothing(t *testing.T) {
	for name, fault := range map[string]struct {
		make func(*testing.T, *checkout)
		want []string
	}{
		"packages for another machine": {func(t *testing.T, _ *checkout) {
			install := exec.CommandContext(t.Context(), testtools.UV(t), "pip", "install", "--target", "src", "--python-platform", "x86_64-manylinux2014",
				"--python-version", "3.11", "--only-binary", ":all:", "--no-compile-bytecode", "-r", "requirements.txt")
			if out, err := install.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if err := os.WriteFile("requirements.txt", nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"pydantic_core/_pydantic_core.cpython-311-x86_64-linux-gnu.so", "2.27.2", "x86-64", "aarch64"}},
		"a misspelt key": {func(_ *testing.T, c *checkout) {
			c.replaceIn("Pulumi.local.yaml", "builder", "memorysize: 512\n  builder")
			c.restage()
		}, []string{"memorysize: not a key of this program"}},
		"a missing handler": {func(t *testing.T, c *checkout) {
			c.replaceIn("src/main.py", "def handler", "def other")
			if err := os.Rename("src/main.py", "src/other.py"); err != nil {
				t.Fatal(err)
			}
		}, []string{`no module "main"`}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t)
			fault.make(t, c)
			var out transcript
			_, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out))
			if err == nil {
				t.Fatal("it was deployed")
			}
			for _, want := range fault.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the engine does not show %q:\n%s", want, &out)
				}
			}
			if left := c.leftovers(); left != nil {
				t.Errorf("registered: %q", left)
			}
		})
	}
}
