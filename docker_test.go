package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"sample-python-arm64-lambda/internal/testtools"
	"sample-python-arm64-lambda/internal/testtools/dockerprovider"
)

// withDocker serves the docker provider to the checkout's engine.
func (c *checkout) withDocker() *dockerprovider.Server {
	c.t.Helper()
	server, err := dockerprovider.Serve(c.t.Context(), filepath.Join(c.dir, ".local", "workspace"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { server.Close() }) //nolint:errcheck // the test's own result is told
	c.providers = map[string]int{"docker": server.Port()}
	c.restage()
	return server
}

// freshRunner takes away what a new machine lacks: the cache, the zip and the built image.
func (c *checkout) freshRunner(cli string) {
	c.t.Helper()
	c.t.Setenv("BUNDLE_CACHE_DIR", filepath.Join(c.t.TempDir(), "cache"))
	if err := os.RemoveAll("dist"); err != nil {
		c.t.Fatal(err)
	}
	images, err := testtools.Run(c.t.Context(), cli, "image", "ls", "--quiet", "--no-trunc", "--filter", "reference=*"+sampleName+":deps-*", "--filter", "label=build-id")
	if err != nil {
		c.t.Fatal(err)
	}
	for id := range strings.FieldsSeq(images) {
		if _, err := testtools.Run(c.t.Context(), cli, "image", "rm", "--force", id); err != nil {
			c.t.Fatal(err)
		}
	}
}

// output returns an output of the stack.
func (c *checkout) output(name string) any {
	c.t.Helper()
	outputs, err := c.stack.Outputs(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return outputs[name].Value
}

// digest returns the SHA-256 of the deployed bundle.
func (c *checkout) digest() string {
	c.t.Helper()
	sum, _ := c.output("bundle").(map[string]any)["sha256"].(string)
	return sum
}

// TestTheDockerBuilderMakesNoNoise deploys with the docker build step, and lives through what a CI does to it.
func TestTheDockerBuilderMakesNoNoise(t *testing.T) {
	cli := testtools.Docker(t)
	c := newCheckout(t)
	c.up() // with wheels, for its digest
	wheels := c.digest()
	c.replaceIn("Pulumi.local.yaml", "builder: wheels", "builder: docker")
	server := c.withDocker()
	if changes := c.up(); changes["create"] != 1 || changes["update"] != 0 {
		t.Errorf("from wheels to docker: got %v, want the image created and nothing updated", changes)
	}
	if got := c.digest(); got != wheels {
		t.Errorf("the docker builder's zip is %s, the wheels builder's %s", got, wheels)
	}
	if payload, _ := c.invoke(); payload != `{"id":1,"name":"John","age":30}` {
		t.Errorf("invoked: got %s", payload)
	}
	c.quiet("nothing changed", server)

	c.replaceIn("requirements.txt", "annotated-types==0.7.0\npydantic==2.10.5\n", "# sorted otherwise\npydantic==2.10.5\nannotated-types==0.7.0\n")
	c.quiet("a comment and the order of the requirements changed", server)

	c.replaceIn("src/main.py", "return User", "print(\"changed\")\n    return User")
	calls := server.Calls()
	if changes := c.up(); changes["update"] != 2 || changes["replace"] != 1 {
		t.Errorf("a line of the sources changed: got %v, want the function and its alias updated and a new smoke test", changes)
	}
	if server.Calls() != calls {
		t.Errorf("a line of the sources changed: %d calls to Docker", server.Calls()-calls)
	}

	before := c.digest()
	c.freshRunner(cli)
	if changes := c.preview(); changes[apitype.OpUpdate] != 1 || len(changes) != 1 {
		t.Errorf("preview on a fresh runner: got %v, want the image updated and nothing else", changes)
	}
	if changes := c.up(); changes["update"] != 1 || c.digest() != before {
		t.Errorf("up on a fresh runner: got %v and digest %s, want the image updated and %s", changes, c.digest(), before)
	}
	c.quiet("after the fresh runner's up", server)
}

// quiet asserts that neither a preview nor an update changes anything or builds.
func (c *checkout) quiet(when string, server *dockerprovider.Server) {
	c.t.Helper()
	builds := server.Builds()
	if changes := c.preview(); len(changes) != 0 {
		c.t.Errorf("%s: preview shows %v", when, changes)
	}
	if changes := c.up(); len(changes) != 1 || changes["same"] == 0 {
		c.t.Errorf("%s: up did %v", when, changes)
	}
	if n := server.Builds() - builds; n != 0 {
		c.t.Errorf("%s: %d builds", when, n)
	}
}

// TestOneBuildIsPromoted keeps the image in a registry, finds it again from a fresh runner without building, and deploys
// it by its digest without any daemon.
func TestOneBuildIsPromoted(t *testing.T) {
	cli := testtools.Docker(t)
	c := newCheckout(t)
	repository := testtools.Registry(t) + "/team/" + sampleName
	c.replaceIn("Pulumi.local.yaml", "builder: wheels", "builder: docker\n  registry: "+repository)
	server := c.withDocker()
	c.up()
	digest := c.digest()
	if server.Pushes() == 0 {
		t.Error("nothing was pushed")
	}
	c.freshRunner(cli)
	c.quiet("a fresh runner with the registry", server)

	image, _ := c.output("image").(string)
	if !strings.HasPrefix(image, repository+"@sha256:") {
		t.Fatalf("output image: got %q, want %s@sha256:…", image, repository)
	}
	promoted := newCheckout(t)
	promoted.replaceIn("Pulumi.local.yaml", "builder: wheels", "builder: docker\n  image: "+image)
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	promoted.restage()
	promoted.up()
	if got := promoted.digest(); got != digest {
		t.Errorf("promoted: got %s, want %s", got, digest)
	}
	if changes := promoted.preview(); len(changes) != 0 {
		t.Errorf("promoted, nothing changed: preview shows %v", changes)
	}
}

// TestNoDaemonIsToldWithACure deploys with the docker builder where no daemon is.
func TestNoDaemonIsToldWithACure(t *testing.T) {
	c := newCheckout(t)
	c.replaceIn("Pulumi.local.yaml", "builder: wheels", "builder: docker")
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	c.restage()
	var out transcript
	if _, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out)); err == nil {
		t.Error("it was deployed")
	}
	for _, want := range []string{"needs a Docker daemon", "cure: start it, or set DOCKER_HOST", "builder: wheels"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the engine does not show %q:\n%s", want, &out)
		}
	}
	if left := c.leftovers(); left != nil {
		t.Errorf("registered: %q", left)
	}
}

// TestAutoUsesDockerOnlyWhereAWheelIsMissing requires a package whose source distribution compiles on the host.
func TestAutoUsesDockerOnlyWhereAWheelIsMissing(t *testing.T) {
	testtools.Docker(t)
	c := newCheckout(t)
	c.replaceIn("Pulumi.local.yaml", "builder: wheels", "builder: auto")
	server := c.withDocker()
	c.up()
	if n := server.Builds(); n != 0 {
		t.Errorf("all requirements have wheels, and docker built %d times", n)
	}
	wheels := c.digest()
	c.replaceIn("requirements.txt", "pydantic==", "wrapt==1.10.0\npydantic==")
	var out transcript
	if _, err := c.stack.Up(t.Context(), optup.ProgressStreams(&out), optup.ErrorProgressStreams(&out)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if server.Builds() == 0 || c.digest() == wheels {
		t.Errorf("docker built %d times", server.Builds())
	}
	if want := "auto: wrapt==1.10.0 has no usable wheel for python3.11 on arm64, so docker builds the dependencies"; !strings.Contains(out.String(), want) {
		t.Errorf("the engine does not show %q:\n%s", want, &out)
	}
	c.quiet("auto with docker, nothing changed", server)
}
