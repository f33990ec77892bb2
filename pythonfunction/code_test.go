package pythonfunction

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/internal/testtools"
)

// pushTree pushes an image of a dependency tree with one package to a registry in this process, and returns its
// repository and its digest there.
func pushTree(t *testing.T) (repository, digest string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository = strings.TrimPrefix(server.URL, "http://") + "/team/deps"
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for file, text := range map[string]string{
		"greet/__init__.py":             "x = 1\n",
		"greet-1.0.dist-info/METADATA":  "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n",
		"greet-1.0.dist-info/WHEEL":     "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"greet-1.0.dist-info/INSTALLER": "pip\n",
		"greet-1.0.dist-info/RECORD":    "greet/__init__.py,,\n",
	} {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64"})
	if err == nil {
		image, err = mutate.AppendLayers(image, layer)
	}
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(repository + ":any")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	sum, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return repository, repository + "@" + sum.String()
}

// deployAll deploys functions of one stack, the first as "one", the second as "two".
func deployAll(r *recorder, functions ...*Args) error {
	return pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := Bundle(ctx, functions...); err != nil {
			return err
		}
		for i, args := range functions {
			if _, err := New(ctx, []string{"one", "two"}[i], args); err != nil {
				return err
			}
		}
		return nil
	}, pulumi.WithMocks("project", "dev", r))
}

func TestFunctionsShareAnImageAndALayer(t *testing.T) {
	repository, digest := pushTree(t)
	shared := &Shared{Layer: true}
	one, two := function(t), function(t)
	two.FunctionName, two.Options, two.OutputDir = "second", one.Options, one.OutputDir
	for _, args := range []*Args{one, two} {
		if err := os.WriteFile(args.Bundle.Requirements, []byte("greet==1.0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		args.Bundle.Builder, args.Shared, args.Registry = bundle.Docker, shared, &Registry{Repository: repository, Username: "ci", Password: "word"}
	}
	r := &recorder{image: digest}
	if err := deployAll(r, one, two); err != nil {
		t.Fatal(err)
	}
	if images, layers, functions := r.count("docker:index/image:Image"), r.count("aws:lambda/layerVersion:LayerVersion"), r.count("aws:lambda/function:Function"); images != 1 || layers != 1 || functions != 2 {
		t.Errorf("got %d images, %d layers, %d functions, want 1, 1 and 2", images, layers, functions)
	}
	image := r.inputs(t, "docker:index/image:Image")
	tag := strings.TrimPrefix(image["imageName"].(string), repository+":")
	build := image["build"].(map[string]any)
	if dir := build["context"].(string); !strings.HasSuffix(dir, "/dist/context/hello") || build["dockerfile"] != dir+"/Dockerfile" {
		t.Errorf("the context is %q, the Dockerfile %q", dir, build["dockerfile"])
	}
	delete(build, "context")
	delete(build, "dockerfile")
	image["registry"].(map[string]any)["password"] = "***"
	expect(t, image, `{"imageName": "`+repository+`:`+tag+`", "skipPush": false, "buildOnPreview": true,
		"build": {"args": {"BASE": "public.ecr.aws/sam/build-python3.11:latest-arm64", "BUILD_ID": ""}, "builderVersion": "BuilderBuildKit", "platform": "linux/arm64"},
		"registry": {"server": "`+strings.TrimSuffix(repository, "/team/deps")+`", "username": "ci", "password": "***"}}`)
	layer := r.inputs(t, "aws:lambda/layerVersion:LayerVersion")
	delete(layer, "code")
	expect(t, layer, `{"layerName": "project-dev-dependencies", "description": "Dependencies of functions of stack dev", "compatibleArchitectures": ["arm64"], "compatibleRuntimes": ["python3.11"]}`)
	if got := r.inputs(t, "aws:lambda/function:Function")["layers"]; len(got.([]any)) != 1 || got.([]any)[0] != "arn:aws:test:::"+tag {
		t.Errorf("the function has layers %v", got)
	}
	for _, a := range r.all {
		if parent := a.RegisterRPC.GetParent(); (a.Name == tag) != strings.Contains(parent, "pulumi:pulumi:Stack") && a.TypeToken != Type && a.TypeToken != "pulumi:pulumi:Stack" {
			t.Errorf("%s %s has the parent %q", a.TypeToken, a.Name, parent)
		}
	}
}

func TestAnImageOfTheFunctionsOwn(t *testing.T) {
	_, digest := pushTree(t)
	args := function(t)
	args.Bundle.Builder = bundle.Docker
	r := &recorder{image: digest}
	if err := deployAll(r, args); err != nil {
		t.Fatal(err)
	}
	image := r.inputs(t, "docker:index/image:Image")
	if image["skipPush"] != true || image["registry"] != nil || !strings.HasPrefix(image["imageName"].(string), "hello:deps-") {
		t.Errorf("got %v", image)
	}
	for _, a := range r.all {
		if a.TypeToken == "docker:index/image:Image" && (a.Name != "one-image" || !strings.Contains(a.RegisterRPC.GetParent(), Type)) {
			t.Errorf("the image is %q, child of %q", a.Name, a.RegisterRPC.GetParent())
		}
	}
}

func TestAnImageByDigestIsPulledAndRegistersNone(t *testing.T) {
	_, digest := pushTree(t)
	args := function(t)
	args.Bundle.Builder, args.Bundle.Image = bundle.Docker, digest
	r := &recorder{}
	if err := deployAll(r, args); err != nil {
		t.Fatal(err)
	}
	if n := r.count("docker:index/image:Image"); n != 0 {
		t.Errorf("%d images were registered", n)
	}
}

// TestAnImageIsPulledWithTheRegistrysCredentials promotes by digest out of a registry that asks for a password.
func TestAnImageIsPulledWithTheRegistrysCredentials(t *testing.T) {
	_, digest := pushTree(t)
	host, path, _ := strings.Cut(digest, "/")
	open, err := url.Parse("http://" + host)
	if err != nil {
		t.Fatal(err)
	}
	image := testtools.Guarded(t, httputil.NewSingleHostReverseProxy(open)) + "/" + path
	for name, c := range map[string]struct {
		registry *Registry
		want     string
	}{
		"its own":        {&Registry{Repository: strings.Split(image, "@")[0], Username: "ci", Password: "right"}, ""},
		"wrong password": {&Registry{Repository: image, Username: "ci", Password: "wrong"}, "401 Unauthorized"},
		"another's":      {&Registry{Repository: "other.example/team/deps", Username: "ci", Password: "right"}, "401 Unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			args := function(t)
			args.Bundle.Builder, args.Bundle.Image, args.Registry = bundle.Docker, image, c.registry
			err := deployAll(&recorder{}, args)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestAnImageInAmazonECRAsksForAToken fails at the token, before the registry is asked.
func TestAnImageInAmazonECRAsksForAToken(t *testing.T) {
	args := function(t)
	args.Bundle.Builder, args.Bundle.Image = bundle.Docker, "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/deps@sha256:"+strings.Repeat("0", 64)
	if err := deployAll(&recorder{failure: errors.New("AccessDenied")}, args); err == nil || !strings.Contains(err.Error(), "asking Amazon ECR") {
		t.Errorf("got %v", err)
	}
}

func TestAutoTakesDockerWhereAWheelIsMissing(t *testing.T) {
	_, digest := pushTree(t)
	args := function(t)
	// It has wheels for Windows only, and no source distribution.
	if err := os.WriteFile(args.Bundle.Requirements, []byte("pywin32==308\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args.Bundle.Builder, args.Options.UV = bundle.Auto, testtools.UV(t)
	r := &recorder{image: digest}
	if err := deployAll(r, args); err != nil {
		t.Fatal(err)
	}
	if n := r.count("docker:index/image:Image"); n != 1 {
		t.Errorf("%d images were registered", n)
	}
}

func TestAmazonECRIsAskedForAToken(t *testing.T) {
	const repository = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/deps"
	_, digest := pushTree(t)
	args := function(t)
	args.Bundle.Builder, args.Registry = bundle.Docker, &Registry{Repository: repository}
	r := &recorder{image: digest}
	if err := deployAll(r, args); err != nil {
		t.Fatal(err)
	}
	password := r.resources["docker:index/image:Image"].Inputs["registry"].ObjectValue()["password"]
	if !password.IsSecret() || password.SecretValue().Element.StringValue() != "of-123456789012" {
		t.Errorf("the password is %v, want a secret", password)
	}
	again := function(t)
	again.Bundle.Builder, again.Registry = bundle.Docker, &Registry{Repository: repository}
	err := deployAll(&recorder{failure: errors.New("AccessDenied")}, again)
	if err == nil || !strings.Contains(err.Error(), "asking Amazon ECR") {
		t.Errorf("got %v", err)
	}
}

func TestBundlesGoThroughTheBucket(t *testing.T) {
	_, digest := pushTree(t)
	args := function(t)
	args.Bundle.Image, args.Shared = digest, &Shared{Layer: true}
	r, made := &recorder{}, false
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		args.ArtifactBucket = func() (pulumi.StringInput, error) {
			if made {
				return pulumi.String("artifacts"), nil
			}
			made = true
			_, err := ArtifactBucket(ctx, "artifacts", pulumi.StringMap{"team": pulumi.String("one")})
			return pulumi.String("artifacts"), err
		}
		_, err := New(ctx, "one", args)
		return err
	}, pulumi.WithMocks("project", "dev", r))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, a := range r.all {
		if a.TypeToken == "aws:s3/bucketObjectv2:BucketObjectv2" {
			keys = append(keys, a.Inputs["key"].StringValue()[:8])
			if a.Inputs["bucket"].StringValue() != "artifacts" || !a.Inputs["source"].IsAsset() {
				t.Errorf("the object is %v", a.Inputs)
			}
		}
	}
	if len(keys) != 2 {
		t.Errorf("got objects %q, want the layer and the function", keys)
	}
	for _, token := range []string{"aws:lambda/layerVersion:LayerVersion", "aws:lambda/function:Function"} {
		got := r.inputs(t, token)
		if got["code"] != nil || got["s3Bucket"] != "artifacts" || got["s3Key"] == "" || len(got["sourceCodeHash"].(string)) != 44 {
			t.Errorf("%s: got %v", token, got)
		}
	}
	expect(t, r.inputs(t, "aws:s3/bucketV2:BucketV2"), `{"forceDestroy": true, "tags": {"team": "one"}}`)
	expect(t, r.inputs(t, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"), `{"bucket": "artifacts-id", "blockPublicAcls": true, "blockPublicPolicy": true, "ignorePublicAcls": true, "restrictPublicBuckets": true}`)
	expect(t, r.inputs(t, "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2"), `{"bucket": "artifacts-id", "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]}`)
	expect(t, r.inputs(t, "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2"), `{"bucket": "artifacts-id", "rules": [{"id": "forget-broken-uploads", "status": "Enabled", "filter": {"prefix": ""}, "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1}}]}`)
}

func TestAZipThatIsTooLargeForAnUpload(t *testing.T) {
	_, digest := pushTree(t)
	args := function(t)
	args.Bundle.Image = digest
	data := make([]byte, maxDirectUpload+1)
	rand.NewChaCha8([32]byte{}).Read(data) //nolint:errcheck // it never fails
	if err := os.WriteFile(filepath.Join(args.Bundle.Source, "data.bin"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	err := deployAll(&recorder{}, args)
	for _, want := range []string{"52428800", "greet 1.0", "set artifactBucket"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestAPublicURLAndProtection(t *testing.T) {
	args := function(t)
	args.URL, args.Protect = &URL{Public: true}, true
	r := &recorder{}
	if err := deployAll(r, args); err != nil {
		t.Fatal(err)
	}
	expect(t, r.inputs(t, "aws:lambda/functionUrl:FunctionUrl"), `{"functionName": "hello", "qualifier": "live", "authorizationType": "NONE"}`)
	expect(t, r.inputs(t, "aws:lambda/permission:Permission"), `{"action": "lambda:InvokeFunctionUrl", "function": "hello", "qualifier": "live", "principal": "*", "functionUrlAuthType": "NONE"}`)
	expect(t, r.inputs(t, "aws:cloudformation/stack:Stack"), `{"tags": {"project": "project", "stack": "dev", "team": "one"}, "templateBody": "{\"Resources\":{\"Invoke\":{\"Properties\":{\"Action\":\"lambda:InvokeFunction\",\"FunctionName\":\"arn:aws:test:::one-live\",\"InvokedViaFunctionUrl\":true,\"Principal\":\"*\"},\"Type\":\"AWS::Lambda::Permission\"}}}"}`)
	protected := map[string]bool{}
	for _, a := range r.all {
		protected[a.TypeToken] = a.RegisterRPC.GetProtect()
	}
	for token, want := range map[string]bool{
		"aws:lambda/function:Function": true, "aws:lambda/alias:Alias": true, "aws:iam/role:Role": true, "aws:cloudwatch/logGroup:LogGroup": true,
		Type: false, "aws:iam/rolePolicy:RolePolicy": false, // a component and a policy can be replaced
	} {
		if protected[token] != want {
			t.Errorf("%s: protected %v, want %v", token, protected[token], want)
		}
	}
}

func TestOnlyTheBundleThatIsToBePromoted(t *testing.T) {
	_, digest := pushTree(t)
	for _, shared := range []*Shared{nil, {Layer: true}} {
		first := function(t)
		first.Bundle.Image, first.Shared = digest, shared
		if err := deployAll(&recorder{}, first); err != nil {
			t.Fatal(err)
		}
		m := first.code.made
		want := m.SHA256
		if m.Layer != nil {
			want += "," + m.Layer.SHA256
		}
		second := function(t)
		second.Bundle.Image, second.Shared, second.SHA256 = digest, shared, want
		if err := deployAll(&recorder{}, second); err != nil {
			t.Errorf("the same bundle: %v", err)
		}
		other := function(t)
		other.Bundle.Image, other.Shared, other.SHA256 = digest, shared, want
		if err := os.WriteFile(filepath.Join(other.Bundle.Source, "more.py"), []byte("x = 1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		if err := deployAll(r, other); err == nil || !strings.Contains(err.Error(), "is to be promoted") || len(r.order) > 1 {
			t.Errorf("another bundle: got %v, registered %q", err, r.order)
		}
	}
}

func TestWhatIsInTheWayIsTold(t *testing.T) {
	repository, digest := pushTree(t)
	noBucket := func() (pulumi.StringInput, error) { return nil, errors.New("no bucket today") }
	for name, c := range map[string]struct {
		change func(args *Args)
		image  string
		want   string
	}{
		"no bucket":                       {func(a *Args) { a.ArtifactBucket = noBucket }, "", "no bucket today"},
		"no bucket for the layer":         {func(a *Args) { a.ArtifactBucket, a.Shared, a.Bundle.Image = noBucket, &Shared{Layer: true}, digest }, "", "no bucket today"},
		"no requirements for docker":      {func(a *Args) { a.Bundle.Builder, a.Bundle.Requirements = bundle.Docker, "none.txt" }, digest, "none.txt"},
		"an image that is gone":           {func(a *Args) { a.Bundle.Builder = bundle.Docker }, repository + "@sha256:" + strings.Repeat("0", 64), "neither in the local Docker daemon nor"},
		"an expectation that is not JSON": {func(a *Args) { a.SmokeTest = &SmokeTest{Event: []byte("{"), Expect: []byte("{")} }, "", "expected result"},
		"a registry without a name":       {func(a *Args) { a.Bundle.Image = "A B" }, "", "is not a reference"},
	} {
		t.Run(name, func(t *testing.T) {
			args := function(t)
			c.change(args)
			if err := deployAll(&recorder{image: c.image}, args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestBundlesGoToDistWhereNothingElseIsSaid(t *testing.T) {
	args := function(t)
	args.OutputDir, args.Bundle.Target = "", target.Target{}
	args.Bundle.Target.Arch, args.Bundle.Target.Runtime = target.Default.Arch, target.Default.Runtime
	t.Chdir(t.TempDir())
	if err := deployAll(&recorder{}, args); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join("dist", "hello.zip")); err != nil {
		t.Error(err)
	}
}
