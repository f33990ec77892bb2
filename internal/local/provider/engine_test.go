package provider

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/internal/local/tools"
	"sample-python-arm64-lambda/internal/testtools"
)

const assume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// newStack returns a stack of the real engine, with an empty file backend, whose AWS provider is a stand-in.
func newStack(t *testing.T, program pulumi.RunFunc, options ...Option) auto.Stack {
	t.Helper()
	progress := func(line string) { t.Log(line) }
	root, err := tools.EnsurePulumi(t.Context(), testtools.Dir(t), filepath.Join(testtools.Root(t), "tools"), progress)
	if err != nil {
		t.Fatal(err)
	}
	cli, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	server, err := ServeAWS(t.Context(), progress, append(options, WithDir(work))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	stack, err := auto.NewStackInlineSource(t.Context(), "test", "provider", program, auto.WorkDir(work), auto.Pulumi(cli),
		auto.Project(workspace.Project{Name: "provider", Runtime: workspace.NewProjectRuntimeInfo("go", nil)}),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL":                          "file://" + filepath.ToSlash(t.TempDir()),
			"PULUMI_HOME":                                 t.TempDir(),
			"PULUMI_CONFIG_PASSPHRASE":                    "test",
			"PULUMI_SKIP_UPDATE_CHECK":                    "true",
			"PULUMI_DEBUG_PROVIDERS":                      "aws:" + strconv.Itoa(server.Port()),
			"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stack.SetConfig(t.Context(), "aws:region", auto.ConfigValue{Value: region}); err != nil {
		t.Fatal(err)
	}
	return stack
}

// writeZip writes a function's zip and returns its hash as the API reports it.
func writeZip(t *testing.T, path, source string) string {
	t.Helper()
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	f, err := w.Create("main.py")
	if err == nil {
		_, err = f.Write([]byte(source))
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(path, data.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data.Bytes())
	return base64.StdEncoding.EncodeToString(sum[:])
}

// program is a function with what it needs.
func program(ctx *pulumi.Context) error {
	logs, err := cloudwatch.NewLogGroup(ctx, "logs", &cloudwatch.LogGroupArgs{
		Name: pulumi.String("/aws/lambda/f"), RetentionInDays: pulumi.Int(7), Tags: pulumi.StringMap{"stack": pulumi.String("test")},
	})
	if err != nil {
		return err
	}
	role, err := iam.NewRole(ctx, "role", &iam.RoleArgs{AssumeRolePolicy: pulumi.String(assume)})
	if err != nil {
		return err
	}
	policy, err := iam.NewRolePolicy(ctx, "policy", &iam.RolePolicyArgs{Role: role.ID(), Policy: pulumi.Sprintf(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"%s:*"}]}`, logs.Arn)})
	if err != nil {
		return err
	}
	f, err := lambda.NewFunction(ctx, "function", &lambda.FunctionArgs{
		Name: pulumi.String("f"), Role: role.Arn, Runtime: pulumi.String("python3.11"), Handler: pulumi.String("main.handler"),
		Architectures: pulumi.StringArray{pulumi.String("arm64")}, Code: pulumi.NewFileArchive("f.zip"), Publish: pulumi.Bool(true),
		LoggingConfig: lambda.FunctionLoggingConfigArgs{LogFormat: pulumi.String("Text"), LogGroup: logs.Name},
		Environment: lambda.FunctionEnvironmentArgs{Variables: pulumi.StringMap{
			"UPPER_case": pulumi.String("kept"), "SECRET": pulumi.ToSecret(pulumi.String("hush-hush")).(pulumi.StringOutput)}},
	}, pulumi.DependsOn([]pulumi.Resource{policy}))
	if err != nil {
		return err
	}
	ctx.Export("version", f.Version)
	ctx.Export("hash", f.SourceCodeHash)
	ctx.Export("environment", f.Environment)
	return nil
}

func TestEngineDeploysUpdatesRefreshesAndDestroys(t *testing.T) {
	aws := startMoto(t)
	stack := newStack(t, program)
	ctx := t.Context()
	archive := filepath.Join(stack.Workspace().WorkDir(), "f.zip")
	hash := writeZip(t, archive, "one")

	preview, err := stack.Preview(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := preview.ChangeSummary["create"], 5; got != want {
		t.Errorf("preview creates %d resources, want %d", got, want)
	}
	up := func(wantVersion, wantHash string, want map[string]int) {
		t.Helper()
		result, err := stack.Up(ctx, optup.ShowSecrets(false))
		if err != nil {
			t.Fatal(err)
		}
		if got := *result.Summary.ResourceChanges; !maps.Equal(got, want) {
			t.Errorf("changes %v, want %v\n%s", got, want, result.StdOut)
		}
		if got := result.Outputs["version"].Value; got != wantVersion {
			t.Errorf("version %v, want %v", got, wantVersion)
		}
		if got := result.Outputs["hash"].Value; got != wantHash || functionHash(ctx, t, aws, "f") != wantHash {
			t.Errorf("hash %v, want %v", got, wantHash)
		}
		if !result.Outputs["environment"].Secret || strings.Contains(result.StdOut, "hush-hush") {
			t.Error("the secret of the environment is not one in the outputs")
		}
	}
	up("1", hash, map[string]int{"create": 5})
	up("1", hash, map[string]int{"same": 5})

	hash = writeZip(t, archive, "two")
	up("2", hash, map[string]int{"same": 4, "update": 1})

	refreshed, err := stack.Refresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *refreshed.Summary.ResourceChanges, (map[string]int{"same": 5}); !maps.Equal(got, want) {
		t.Errorf("refresh changes %v, want %v\n%s", got, want, refreshed.StdOut)
	}
	up("2", hash, map[string]int{"same": 5})

	// what somebody changes by hand is seen by a refresh and put right by the next update
	if _, err := aws.do(ctx, "lambda:UpdateFunctionConfiguration", object{"functionName": "f", "timeout": 60}); err != nil {
		t.Fatal(err)
	}
	if _, err := aws.do(ctx, "logs:DeleteLogGroup", object{"logGroupName": "/aws/lambda/f"}); err != nil {
		t.Fatal(err)
	}
	if refreshed, err = stack.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := *refreshed.Summary.ResourceChanges, (map[string]int{"same": 3, "update": 1, "delete": 1}); !maps.Equal(got, want) {
		t.Errorf("refresh after changes by hand %v, want %v\n%s", got, want, refreshed.StdOut)
	}
	up("3", hash, map[string]int{"same": 3, "create": 1, "update": 1})
	if f, err := aws.do(ctx, "lambda:GetFunctionConfiguration", object{"functionName": "f"}); err != nil || f["timeout"] != 3.0 {
		t.Errorf("the timeout is %v again, %v, want 3", f["timeout"], err)
	}

	if _, err := stack.Destroy(ctx, optdestroy.Remove()); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, aws); len(left) > 0 {
		t.Errorf("destroy leaves %v", left)
	}
}
