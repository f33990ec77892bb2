package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"sample-python-arm64-lambda/internal/local/emulator"
	"sample-python-arm64-lambda/internal/local/provider"
	"sample-python-arm64-lambda/internal/local/sandbox"
	"sample-python-arm64-lambda/internal/local/tools"
	"sample-python-arm64-lambda/internal/testtools"
	"sample-python-arm64-lambda/internal/testtools/dockerprovider"
)

// languageHost is the name of the plugin that runs Go programs. It comes with the released CLI only, so this test is one.
const languageHost = "pulumi-language-go"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == languageHost {
		handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Init: func(s *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(s, &goHost{engine: os.Args[len(os.Args)-1]})
			return nil
		}})
		if err != nil {
			panic(err)
		}
		fmt.Println(handle.Port)
		panic(<-handle.Done)
	}
	os.Exit(m.Run())
}

// goHost runs a program with `go run`, as the real plugin does.
type goHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engine string
}

func (h *goHost) Handshake(_ context.Context, r *pulumirpc.LanguageHandshakeRequest) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engine = r.EngineAddress
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *goHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "3.256.0"}, nil
}

func (h *goHost) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

func (h *goHost) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	config, err := json.Marshal(r.Config)
	if err != nil {
		return nil, err
	}
	secret, err := json.Marshal(r.ConfigSecretKeys)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir = r.Info.ProgramDirectory
	cmd.Env = append(os.Environ(), "PULUMI_ORGANIZATION="+r.Organization, "PULUMI_PROJECT="+r.Project, "PULUMI_STACK="+r.Stack,
		"PULUMI_ROOT_DIRECTORY="+r.Info.RootDirectory, "PULUMI_CONFIG="+string(config), "PULUMI_CONFIG_SECRET_KEYS="+string(secret),
		"PULUMI_DRY_RUN="+strconv.FormatBool(r.DryRun), "PULUMI_PARALLEL="+strconv.Itoa(int(r.Parallel)),
		"PULUMI_MONITOR="+r.MonitorAddress, "PULUMI_ENGINE="+h.engine)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) { // the program told the engine why, or `go run` its stderr
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("program failed: %v\n%s", err, out)}, nil
	}
	return &pulumirpc.RunResponse{}, err
}

// world is what is around a workflow: an AWS account whose calls are recorded, GitHub's API, and a clone of the repository
// in which steps are run.
type world struct {
	t     *testing.T
	dir   string // the clone
	env   map[string]string
	files string // of the job: outputs, summary, artifacts
	aws   *recorder
	hub   *github
}

// newWorld clones the checkout as it is, with what is not committed yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	root := testtools.Root(t)
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "clone"), files: t.TempDir(), hub: newGitHub(t)}
	w.git("", "clone", "--quiet", root, w.dir)
	patch := filepath.Join(w.files, "patch")
	list, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(patch, list, 0o644); err != nil {
		t.Fatal(err)
	}
	w.shell(`xargs -0 -r -a "$1" sh -c 'for f; do rm -f "$f"; [ -e "$0/$f" ] && mkdir -p "$(dirname "$f")" && cp -p "$0/$f" "$f"; done; true' "$2"`, patch, root)
	w.commit("as it is")
	w.account(root)
	return w
}

func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) commit(message string) {
	w.t.Helper()
	w.git(w.dir, "add", "--all")
	w.git(w.dir, "commit", "--quiet", "--allow-empty", "-m", message)
}

func (w *world) shell(script string, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// write changes a file of the clone.
func (w *world) write(name, text string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// emulator starts the emulated account, with the recorder before it.
func (w *world) emulator(root string) {
	t, python := w.t, testtools.Python(w.t)
	kept := testtools.Dir(t)
	account, err := emulator.Start(t.Context(), emulator.Config{Python: python, Dir: t.TempDir(), Log: io.Discard,
		Pool: sandbox.NewPool(sandbox.Options{Dir: kept, UV: tools.UV(python), RuntimeRequirements: filepath.Join(root, "tools", "runtime.txt")})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { account.Close() }) //nolint:errcheck // the test's own result is told
	w.aws = newRecorder(t, account.URL())
}

// account starts the account and what stands for the set-up of a job: the tools on PATH, credentials, providers.
func (w *world) account(root string) {
	t, kept, python := w.t, testtools.Dir(w.t), testtools.Python(w.t)
	w.emulator(root)
	cli, err := tools.EnsurePulumi(t.Context(), kept, filepath.Join(root, "tools"), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, languageHost)); err != nil {
		t.Fatal(err)
	}
	w.env = map[string]string{
		"PATH":           strings.Join([]string{bin, filepath.Join(cli, "bin"), filepath.Dir(python), os.Getenv("PATH")}, string(os.PathListSeparator)),
		"GITHUB_API_URL": w.hub.URL, "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "octo/sample",
		"GITHUB_RUN_ID": "42", "GITHUB_EVENT_PATH": filepath.Join(w.files, "event.json"), "CI": "true",
		"AWS_ENDPOINT_URL": w.aws.URL, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
		"PULUMI_HOME": t.TempDir(), "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		"LOCAL_TOOLS_DIR": kept, "BUNDLE_CACHE_DIR": t.TempDir(),
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, w.env[name]) // the stand-in provider reads this process's
	}
	t.Setenv("AWS_REGION", "ap-northeast-1")
	aws, err := provider.ServeAWS(t.Context(), func(string) {}, provider.WithDir(w.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { aws.Close() }) //nolint:errcheck // the test's own result is told
	w.env["PULUMI_DEBUG_PROVIDERS"] = "aws:" + strconv.Itoa(aws.Port())
	w.docker()
}

// docker serves the docker provider and a registry where there is Docker; else the stacks are deployed with wheels.
func (w *world) docker() {
	cli, err := testtools.FindDocker(w.t.Context())
	if err == nil {
		_, err = testtools.Run(w.t.Context(), cli, "image", "inspect", testtools.BaseImage("arm64"))
	}
	if err != nil {
		w.t.Logf("no Docker (%v): the stacks are deployed with wheels (make docker)", err)
		w.shell(`sed -i 's/builder: docker/builder: wheels/' Pulumi.*.yaml`)
		w.commit("no Docker here")
		return
	}
	server, err := dockerprovider.Serve(w.t.Context(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { server.Close() }) //nolint:errcheck // the test's own result is told
	w.env["PULUMI_DEBUG_PROVIDERS"] += ",docker:" + strconv.Itoa(server.Port())
	w.env["REGISTRY"] = testtools.Registry(w.t) + "/sample-python-arm64-lambda"
	w.env["PATH"] = filepath.Dir(cli) + string(os.PathListSeparator) + w.env["PATH"]
}

// github is GitHub's API for issues and comments, in memory.
type github struct {
	*httptest.Server
	mu       sync.Mutex
	comments []map[string]any
	issues   []map[string]any
}

func newGitHub(t *testing.T) *github {
	g := &github{comments: []map[string]any{{"id": 1, "body": commentMark + " a person's", "user": map[string]any{"type": "User"}}}}
	mux := http.NewServeMux()
	list := func(posts *[]map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if r.Method == http.MethodGet {
				open := slices.DeleteFunc(slices.Clone(*posts), func(p map[string]any) bool { return p["state"] == "closed" })
				json.NewEncoder(w).Encode(append([]map[string]any{}, open...)) //nolint:errcheck // the client tells
				return
			}
			p := map[string]any{"id": len(*posts) + 1, "number": len(*posts) + 1, "user": map[string]any{"type": "Bot"}}
			g.take(w, r, p)
			*posts = append(*posts, p)
		}
	}
	change := func(posts *[]map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if n, err := strconv.Atoi(r.PathValue("n")); err == nil && n <= len(*posts) {
				g.take(w, r, (*posts)[n-1])
				return
			}
			http.NotFound(w, r)
		}
	}
	const repo = "/repos/octo/sample/"
	mux.HandleFunc(repo+"issues/7/comments", list(&g.comments))
	mux.HandleFunc("PATCH "+repo+"issues/comments/{n}", change(&g.comments))
	mux.HandleFunc(repo+"issues", list(&g.issues))
	mux.HandleFunc("PATCH "+repo+"issues/{n}", change(&g.issues))
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer job-token" {
			http.Error(w, "Bad credentials", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *github) take(w http.ResponseWriter, r *http.Request, p map[string]any) {
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// awsCall is one call of the AWS API, as IAM sees it.
type awsCall struct {
	action, resource string
}

// recorder is a proxy before the emulated account.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	calls []awsCall
	paths map[string]string // of roles, by name: a request has the name, the ARN both
}

func newRecorder(t *testing.T, account string) *recorder {
	target, err := url.Parse(account)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{paths: map[string]string{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host
	}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		r.mu.Lock()
		r.calls = append(r.calls, r.seen(req, body)...)
		r.mu.Unlock()
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// taken returns the calls since the last time.
func (r *recorder) taken() []awsCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

const arnPrefix = "arn:aws:%s:ap-northeast-1:123456789012:%s"

var credentialScope = regexp.MustCompile(`Credential=[^/]+/\d+/[^/]+/([^/]+)/`)

// seen tells which actions on what IAM would be asked for. An unknown one has a `?` and fails the test.
func (r *recorder) seen(req *http.Request, body []byte) []awsCall {
	m := credentialScope.FindStringSubmatch(req.Header.Get("Authorization"))
	if m == nil {
		return []awsCall{{action: "unsigned?", resource: req.URL.String()}}
	}
	service := m[1]
	if _, op, ok := strings.Cut(req.Header.Get("X-Amz-Target"), "."); ok {
		var in struct{ LogGroupName, LogGroupNamePrefix, ResourceArn string }
		json.Unmarshal(body, &in) //nolint:errcheck // empty then
		switch resource := in.ResourceArn; {
		case service == "kms":
			return []awsCall{{action: "kms:" + op, resource: "key"}}
		case op == "DescribeLogGroups":
			return []awsCall{{action: "logs:" + op, resource: fmt.Sprintf(arnPrefix, "logs", "log-group:*")}}
		case resource == "":
			resource = fmt.Sprintf(arnPrefix, service, "log-group:"+in.LogGroupName)
			fallthrough
		default:
			return []awsCall{{action: service + ":" + op, resource: resource}}
		}
	}
	switch service {
	case "sts":
		return nil // GetCallerIdentity needs no permission
	case "iam":
		form, _ := url.ParseQuery(string(body))
		name, action := form.Get("RoleName"), form.Get("Action")
		if action == "CreateRole" {
			r.paths[name] = form.Get("Path")
		}
		role := "arn:aws:iam::123456789012:role" + r.paths[name] + name
		calls := []awsCall{{"iam:" + action, role}}
		if action == "CreateRole" { // https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags_roles.html
			calls = append(calls, awsCall{"iam:TagRole", role})
		}
		return calls
	case "lambda":
		return seenLambda(req, body)
	case "s3":
		return seenS3(req)
	}
	return []awsCall{{action: service + "?", resource: req.URL.String()}}
}

var lambdaOps = map[string]string{
	"POST ": "CreateFunction", "GET ": "GetFunction", "DELETE ": "DeleteFunction", "GET configuration": "GetFunctionConfiguration",
	"PUT configuration": "UpdateFunctionConfiguration", "PUT code": "UpdateFunctionCode", "POST versions": "PublishVersion",
	"GET versions": "ListVersionsByFunction", "POST invocations": "InvokeFunction", "POST aliases": "CreateAlias", "GET aliases": "GetAlias",
	"PUT aliases": "UpdateAlias", "DELETE aliases": "DeleteAlias", "PUT concurrency": "PutFunctionConcurrency",
	"DELETE concurrency": "DeleteFunctionConcurrency", "GET tags": "ListTags", "POST tags": "TagResource", "DELETE tags": "UntagResource",
}

func seenLambda(req *http.Request, body []byte) []awsCall {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/") // VERSION/functions/NAME/WHAT or VERSION/tags/ARN
	name, what := "", ""
	if parts[1] == "layers" {
		return seenLayer(req, parts[2:])
	}
	if parts[1] == "tags" {
		name, what = strings.SplitN(parts[2], ":function:", 2)[1], "tags"
	}
	if parts[1] == "functions" && len(parts) > 2 {
		name = parts[2]
	}
	if parts[1] == "functions" && len(parts) > 3 {
		what = parts[3]
	}
	op, ok := lambdaOps[req.Method+" "+what]
	if !ok {
		return []awsCall{{action: "lambda?", resource: req.Method + " " + req.URL.Path}}
	}
	var in struct {
		FunctionName, Role string
		Tags               map[string]string
	}
	if op == "CreateFunction" || op == "UpdateFunctionConfiguration" {
		json.Unmarshal(body, &in) //nolint:errcheck // empty then
	}
	if name == "" {
		name = in.FunctionName
	}
	calls := []awsCall{{action: "lambda:" + op, resource: fmt.Sprintf(arnPrefix, "lambda", "function:"+name)}}
	if in.Role != "" { // https://docs.aws.amazon.com/lambda/latest/dg/access-control-identity-based.html
		calls = append(calls, awsCall{action: "iam:PassRole", resource: in.Role})
	}
	if op == "CreateFunction" && len(in.Tags) > 0 {
		calls = append(calls, awsCall{action: "lambda:TagResource", resource: calls[0].resource})
	}
	return calls
}

// seenLayer reads LAYER/versions/NUMBER; without these, the ARN of a version is in the query.
func seenLayer(req *http.Request, parts []string) []awsCall {
	resource := req.URL.Query().Get("Arn")
	if len(parts) > 0 {
		resource = fmt.Sprintf(arnPrefix, "lambda", "layer:"+parts[0][strings.LastIndex(parts[0], ":")+1:]) // of a name or an ARN
	}
	op := map[string]string{"POST 2": "PublishLayerVersion", "GET 2": "ListLayerVersions", "GET 3": "GetLayerVersion",
		"GET 0": "GetLayerVersion", "DELETE 3": "DeleteLayerVersion"}[fmt.Sprintf("%s %d", req.Method, len(parts))]
	if op == "" {
		op = "?"
	}
	if len(parts) == 3 { // its number
		resource += ":" + parts[2]
	}
	return []awsCall{{action: "lambda:" + op, resource: resource}}
}

func seenS3(req *http.Request) []awsCall {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	resource := "arn:aws:s3:::" + bucket
	query := req.URL.Query()
	if key == "" {
		if query.Get("list-type") == "2" && req.Method == http.MethodGet {
			return []awsCall{{action: "s3:ListBucket", resource: resource}}
		}
		return []awsCall{{action: "s3?", resource: req.Method + " " + req.URL.String()}}
	}
	resource += "/" + key
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return []awsCall{{action: "s3:GetObject", resource: resource}}
	case http.MethodDelete:
		return []awsCall{{action: "s3:DeleteObject", resource: resource}}
	case http.MethodPut:
		calls := []awsCall{{action: "s3:PutObject", resource: resource}}
		if from := req.Header.Get("X-Amz-Copy-Source"); from != "" {
			from, _ = url.PathUnescape(from)
			calls = append(calls, awsCall{action: "s3:GetObject", resource: "arn:aws:s3:::" + strings.TrimPrefix(from, "/")})
		}
		return calls
	}
	return []awsCall{{action: "s3?", resource: req.Method + " " + req.URL.String()}}
}
