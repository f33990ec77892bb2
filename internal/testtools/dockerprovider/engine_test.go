package dockerprovider

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/internal/local/tools"
	"sample-python-arm64-lambda/internal/testtools"
)

// newStack returns a stack of the real engine, with an empty file backend, whose docker provider is the stand-in, and
// whose working folder has a context that needs no base image.
func newStack(t *testing.T, args *docker.ImageArgs) (auto.Stack, *Server) {
	t.Helper()
	root, err := tools.EnsurePulumi(t.Context(), testtools.Dir(t), filepath.Join(testtools.Root(t), "tools"), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	cli, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	write(t, filepath.Join(work, "context", "Dockerfile"), "FROM scratch\nCOPY data /\nARG BUILD_ID\nLABEL build-id=${BUILD_ID}\n")
	write(t, filepath.Join(work, "context", "data"), t.Name())
	server, err := Serve(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	program := func(ctx *pulumi.Context) error {
		args.Build = &docker.DockerBuildArgs{
			Context: pulumi.String("context"), Dockerfile: pulumi.String("context/Dockerfile"), Platform: pulumi.String("linux/arm64"),
			Args: pulumi.StringMap{"BUILD_ID": pulumi.String("one")}, BuilderVersion: docker.BuilderVersionBuilderBuildKit,
		}
		image, err := docker.NewImage(ctx, "image", args)
		if err == nil {
			ctx.Export("digest", image.RepoDigest)
			ctx.Export("platform", image.Platform)
		}
		return err
	}
	stack, err := auto.NewStackInlineSource(t.Context(), "test", "provider", program, auto.WorkDir(work), auto.Pulumi(cli),
		auto.Project(workspace.Project{Name: "provider", Runtime: workspace.NewProjectRuntimeInfo("go", nil)}),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL":                          "file://" + filepath.ToSlash(t.TempDir()),
			"PULUMI_HOME":                                 t.TempDir(),
			"PULUMI_CONFIG_PASSPHRASE":                    "test",
			"PULUMI_SKIP_UPDATE_CHECK":                    "true",
			"PULUMI_DEBUG_PROVIDERS":                      "docker:" + strconv.Itoa(server.Port()),
			"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		}))
	if err != nil {
		t.Fatal(err)
	}
	return stack, server
}

func write(t *testing.T, file, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// up deploys and returns the image's digest, and checks what happened to the image.
func up(t *testing.T, stack auto.Stack, want apitype.OpType) string {
	t.Helper()
	result, err := stack.Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes := maps.Clone(*result.Summary.ResourceChanges)
	if changes["create"] > 0 {
		changes["create"]-- // the stack itself
	} else {
		changes["same"]--
	}
	if changes[string(want)] != 1 {
		t.Errorf("changes %v, want the image to be %s", *result.Summary.ResourceChanges, want)
	}
	if got := result.Outputs["platform"].Value; got != "linux/arm64" {
		t.Errorf("platform %v, want linux/arm64", got)
	}
	digest, _ := result.Outputs["digest"].Value.(string)
	return digest
}

func TestLocalImageIsKnownByItsIDAndNotMissed(t *testing.T) {
	cli := testtools.Docker(t)
	name := "stand-in-test:" + strings.ToLower(filepath.Base(t.TempDir())+t.Name())
	stack, server := newStack(t, &docker.ImageArgs{ImageName: pulumi.String(name), SkipPush: pulumi.Bool(true), BuildOnPreview: pulumi.Bool(true)})
	t.Cleanup(func() { testtools.Run(context.Background(), cli, "rmi", "-f", name) }) //nolint:errcheck // may be gone

	if _, err := stack.Preview(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.Builds() != 1 {
		t.Errorf("%d builds in a preview, want 1", server.Builds())
	}
	id := up(t, stack, apitype.OpCreate)
	if printed, err := testtools.Run(t.Context(), cli, "image", "inspect", "--format", "{{.Id}} {{.Architecture}}", name); err != nil || printed != id+" arm64" {
		t.Errorf("the daemon has %q (%v), want %q", printed, err, id+" arm64")
	}
	if _, err := testtools.Run(t.Context(), cli, "rmi", "-f", id); err != nil {
		t.Fatal(err)
	}
	calls := server.Calls()
	if again := up(t, stack, apitype.OpSame); again != id || server.Calls() != calls {
		t.Errorf("the image that is gone: digest %q after %q, %d calls; want the same and none", again, id, server.Calls()-calls)
	}
	write(t, filepath.Join(stack.Workspace().WorkDir(), "context", "data"), "other")
	if changed := up(t, stack, apitype.OpUpdate); changed == id {
		t.Errorf("digest %q is the same for another context", changed)
	}
}

func TestPushedImageIsKnownByItsDigest(t *testing.T) {
	cli := testtools.Docker(t)
	repository := testtools.Registry(t) + "/deps"
	stack, server := newStack(t, &docker.ImageArgs{
		ImageName: pulumi.String(repository + ":tag"), BuildOnPreview: pulumi.Bool(true),
		Registry: docker.RegistryArgs{Username: pulumi.String("user"), Password: pulumi.ToSecret(pulumi.String("hush-hush")).(pulumi.StringOutput)},
	})
	digest := up(t, stack, apitype.OpCreate)
	if !strings.HasPrefix(digest, repository+"@sha256:") || server.Pushes() != 1 {
		t.Errorf("digest %q after %d pushes, want %s@sha256:… after 1", digest, server.Pushes(), repository)
	}
	if _, err := testtools.Run(t.Context(), cli, "rmi", "-f", repository+":tag"); err != nil {
		t.Fatal(err)
	}
	if _, err := testtools.Run(t.Context(), cli, "pull", "--platform=linux/arm64", digest); err != nil {
		t.Error(err)
	}
	if _, err := testtools.Run(t.Context(), cli, "rmi", "-f", digest); err != nil {
		t.Error(err)
	}
	up(t, stack, apitype.OpSame)
}

func TestWithoutADaemonNothingIsConfigured(t *testing.T) {
	testtools.Docker(t)
	t.Setenv("DOCKER_HOST", "unix://"+filepath.ToSlash(filepath.Join(t.TempDir(), "none.sock")))
	stack, server := newStack(t, &docker.ImageArgs{ImageName: pulumi.String("none"), SkipPush: pulumi.Bool(true)})
	if _, err := stack.Preview(t.Context()); err == nil || !strings.Contains(err.Error(), "connecting to the Docker daemon") {
		t.Errorf("error %v, want one about the daemon", err)
	}
	if server.Calls() != 0 {
		t.Errorf("%d calls, want none", server.Calls())
	}
}
