package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"gopkg.in/yaml.v3"

	"sample-python-arm64-lambda/internal/local/provider"
	"sample-python-arm64-lambda/internal/local/sandbox"
	"sample-python-arm64-lambda/internal/local/tools"
)

// StackName is the stack that is deployed to the emulated account.
const StackName = "local"

func (l *Local) requirements() string { return filepath.Join(l.root, "tools", "requirements.txt") }

// prepareTools makes the tools that the driver starts, both at once, and puts uv on PATH for the program.
func (l *Local) prepareTools(ctx context.Context) error {
	var group sync.WaitGroup
	var python string
	var pythonErr, cliErr error
	group.Go(func() { python, pythonErr = tools.EnsureVenv(ctx, l.tools, l.requirements(), l.say) })
	group.Go(func() { _, cliErr = l.pulumi(ctx) })
	group.Wait()
	if err := errors.Join(pythonErr, cliErr); err != nil {
		return err
	}
	// The sample's; another one is made at the first invocation that needs it.
	if _, err := sandbox.Ensure(ctx, l.sandbox(python), "python3.11", "arm64"); err != nil {
		return err
	}
	return os.Setenv("PATH", filepath.Dir(python)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (l *Local) pulumi(ctx context.Context) (root string, err error) {
	return tools.EnsurePulumi(ctx, l.tools, filepath.Join(l.root, "tools"), l.say)
}

// deploy runs the program against the AWS API at url, as `pulumi up` would.
func (l *Local) deploy(ctx context.Context, url string) (err error) {
	stack, closeProviders, err := l.Stack(ctx, url, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeProviders()) }()
	l.say("pulumi up, stack " + StackName)
	result, err := stack.Up(ctx, optup.ProgressStreams(l.out), optup.ErrorProgressStreams(os.Stderr))
	if err != nil {
		return fmt.Errorf("deploying: %w", shortError(err))
	}
	return l.keepFunctionNames(result.Outputs)
}

// shortError leaves out the copies of the engine's output that the Automation API puts into an error: they were shown.
func shortError(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first + " (see above)")
}

// Stack opens the stack for the AWS API at url. The AWS provider is the real plugin where it is installed, else a
// stand-in in this process; others names further ones that are served here, with their ports. The returned function
// ends what was started for it.
func (l *Local) Stack(ctx context.Context, url string, others map[string]int) (*auto.Stack, func() error, error) {
	env, closeProviders, err := l.environment(ctx, url, others)
	if err != nil {
		return nil, nil, err
	}
	stack, err := l.stack(ctx, env)
	if err != nil {
		return nil, nil, errors.Join(err, closeProviders())
	}
	return stack, closeProviders, nil
}

// stack returns the stack in a workspace of its own, so that nothing in the checkout is written to.
func (l *Local) stack(ctx context.Context, env map[string]string) (*auto.Stack, error) {
	root, err := l.pulumi(ctx)
	if err != nil {
		return nil, err
	}
	cli, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root})
	if err != nil {
		return nil, fmt.Errorf("finding the Pulumi CLI: %w", err)
	}
	project, err := l.project()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.state, "workspace")
	if err := l.stageWorkspace(dir); err != nil {
		return nil, err
	}
	stack, err := auto.UpsertStackInlineSource(ctx, StackName, project.Name.String(), l.program,
		auto.WorkDir(dir), auto.Project(*project), auto.Pulumi(cli), auto.EnvVars(env))
	if err != nil {
		return nil, fmt.Errorf("opening stack %q: %w", StackName, err)
	}
	return &stack, nil
}

func (l *Local) project() (*workspace.Project, error) {
	project, err := workspace.LoadProject(filepath.Join(l.root, "Pulumi.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading Pulumi.yaml: %w", err)
	}
	return project, nil
}

// stageWorkspace copies the stack's settings beside the state: the engine writes its encryption salt into them.
func (l *Local) stageWorkspace(dir string) error {
	for _, d := range []string{dir, filepath.Join(l.state, "backend"), filepath.Join(l.state, "pulumi")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	name := "Pulumi." + StackName + ".yaml"
	settings, err := os.ReadFile(filepath.Join(l.root, name))
	if err != nil {
		return fmt.Errorf("reading the stack's settings: %w", err)
	}
	file := filepath.Join(dir, name)
	if before, err := os.ReadFile(file); err == nil {
		settings = append(settings, salt(before)...)
	}
	return os.WriteFile(file, settings, 0o600)
}

// salt returns the line that the engine added to the settings of the same stack before.
func salt(settings []byte) []byte {
	for line := range strings.Lines(string(settings)) {
		if strings.HasPrefix(line, "encryptionsalt:") {
			return []byte("\n" + line)
		}
	}
	return nil
}

// environment returns the engine's environment: the emulated account, a backend in the state folder, and the providers.
func (l *Local) environment(ctx context.Context, url string, others map[string]int) (map[string]string, func() error, error) {
	env := map[string]string{
		"PULUMI_BACKEND_URL":       "file://" + filepath.ToSlash(filepath.Join(l.state, "backend")),
		"PULUMI_HOME":              filepath.Join(l.state, "pulumi"),
		"PULUMI_CONFIG_PASSPHRASE": "",
		"PULUMI_SKIP_UPDATE_CHECK": "true",
		"AWS_ENDPOINT_URL":         url,
		"AWS_ACCESS_KEY_ID":        "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "",
		"AWS_EC2_METADATA_DISABLED": "true",
		// What is not installed is served by this process, or not known.
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
	}
	for name, value := range env { // a stand-in reads this process's
		if strings.HasPrefix(name, "AWS_") {
			if err := os.Setenv(name, value); err != nil {
				return nil, nil, err
			}
		}
	}
	var served []string
	for name, port := range others {
		served = append(served, name+":"+strconv.Itoa(port))
	}
	env["PULUMI_DEBUG_PROVIDERS"] = strings.Join(served, ",")
	if _, given := others["aws"]; given || l.linkPlugin() {
		return env, func() error { return nil }, nil
	}
	server, err := provider.ServeAWS(ctx, func(string) {}, provider.WithDir(filepath.Join(l.state, "workspace")))
	if err != nil {
		return nil, nil, fmt.Errorf("serving the AWS provider: %w", err)
	}
	env["PULUMI_DEBUG_PROVIDERS"] = strings.Join(append(served, "aws:"+strconv.Itoa(server.Port())), ",")
	return env, server.Close, nil
}

// awsPlugin is the folder of the real provider plugin, of the SDK's version.
const awsPlugin = "resource-aws-v6.83.2"

// linkPlugin makes the user's installed AWS provider plugin visible in the state folder's Pulumi home, and says
// whether there is one.
func (l *Local) linkPlugin() bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	installed := filepath.Join(home, ".pulumi", "plugins")
	if _, err := os.Stat(filepath.Join(installed, awsPlugin)); err != nil {
		return false
	}
	link := filepath.Join(l.state, "pulumi", "plugins")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return false
	}
	_ = os.Symlink(installed, link)
	_, err = os.Stat(filepath.Join(link, awsPlugin))
	return err == nil
}

func (l *Local) functionFile() string { return filepath.Join(l.state, "functions") }

// keepFunctionNames keeps the names of the deployed functions, from the output of the one or of the several, for the
// other verbs.
func (l *Local) keepFunctionNames(outputs auto.OutputMap) error {
	all := []any{map[string]any{"functionName": outputs["functionName"].Value}}
	if several, ok := outputs["functions"].Value.(map[string]any); ok {
		all = slices.Collect(maps.Values(several))
	}
	var names []string
	for _, f := range all {
		f, _ := f.(map[string]any)
		name, ok := f["functionName"].(string)
		if !ok {
			return errors.New("the program has no output functionName")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return os.WriteFile(l.functionFile(), []byte(strings.Join(names, "\n")), 0o644)
}

// functionNames returns the deployed functions' names, in order.
func (l *Local) functionNames() ([]string, error) {
	names, err := os.ReadFile(l.functionFile())
	if err != nil {
		return nil, fmt.Errorf("nothing is deployed (%w): run make local", err)
	}
	return strings.Split(string(names), "\n"), nil
}

// region returns the AWS region of the stack's settings.
func (l *Local) region() (string, error) {
	file := filepath.Join(l.root, "Pulumi."+StackName+".yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the stack's settings: %w", err)
	}
	var settings struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(data, &settings); err != nil {
		return "", fmt.Errorf("reading %q: %w", file, err)
	}
	region, ok := settings.Config["aws:region"].(string)
	if !ok {
		return "", fmt.Errorf("%q sets no aws:region", file)
	}
	return region, nil
}
