package sandbox

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Function is a version of a Lambda function, as its configuration says.
type Function struct {
	Zip       string   // path of the deployment package; or
	Dir       string   // an unpacked one, used in place
	Layers    []string // paths of layers' zips, unpacked over each other in this order
	Runtime   string   // such as python3.11; read by Pool only
	Arch      string   // arm64 or x86_64; read by Pool only
	Name      string
	Version   string // "$LATEST" or a number
	ARN       string
	Region    string
	Handler   string
	Env       map[string]string
	MemoryMB  int // told to the function and not enforced
	Timeout   time.Duration
	LogGroup  string
	LogFormat string // "Text" or "JSON"; "" is Text
	LogLevel  string // application log level; "" is the runtime's default
}

// logStream makes the name of a new execution environment's log stream.
func (f Function) logStream() string {
	return fmt.Sprintf("%s/[%s]%s", time.Now().UTC().Format("2006/01/02"), f.Version, newID())
}

// environment is what the function finds in its environment variables, the reserved ones last as they cannot be
// overridden: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func (f Function) environment(task, layers, client, api, logStream string) []string {
	env := map[string]string{
		"LANG":                    "en_US.UTF-8",
		"TZ":                      ":UTC",
		"PATH":                    "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:" + layers + "/bin",
		"LD_LIBRARY_PATH":         task + ":" + task + "/lib:" + layers + "/lib",
		"PYTHONNOUSERSITE":        "1", // the packages of the user who runs this
		"_X_AMZN_TRACE_ID":        "",
		"AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
	}
	for name, value := range f.Env {
		env[name] = value
	}
	for name, value := range map[string]string{
		"_HANDLER":                        f.Handler,
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     f.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      logStream,
		"AWS_LAMBDA_LOG_FORMAT":           cmp.Or(f.LogFormat, "Text"),
		"AWS_EXECUTION_ENV":               "AWS_Lambda_" + f.Runtime,
		"AWS_REGION":                      f.Region,
		"AWS_DEFAULT_REGION":              f.Region,
		"AWS_ACCESS_KEY_ID":               "local", // the emulator checks no credentials, and no others may be found
		"AWS_SECRET_ACCESS_KEY":           "local",
		"AWS_SESSION_TOKEN":               "local",
		"LAMBDA_TASK_ROOT":                task,
		"LAMBDA_RUNTIME_DIR":              client,
	} {
		env[name] = value
	}
	if f.LogLevel != "" {
		env["AWS_LAMBDA_LOG_LEVEL"] = f.LogLevel
	}
	var pairs []string
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return pairs
}

// boot is the program that the interpreter runs: it says what the interpreter itself finds it is, orders sys.path as
// Lambda does (task, layers, standard library, and last the runtime's client, which must not hide the task's packages), and
// hands over to awslambdaric.
const boot = `import os, sys
task, layers, client, handler = sys.argv[1:]
python = "python%d.%d" % sys.version_info[:2]
version = "python:%s %s %s" % (sys.version.split()[0], os.uname().machine, os.confstr("CS_GNU_LIBC_VERSION"))
if os.environ["AWS_LAMBDA_LOG_FORMAT"] == "JSON":
    print('{"type":"platform.initStart","record":{"runtimeVersion":"%s"}}' % version, flush=True)
else:
    print("INIT_START Runtime Version: " + version, flush=True)
sys.path[0:1] = [task, layers + "/python/lib/" + python + "/site-packages", layers + "/python"]
sys.path.append(client)
sys.argv = ["awslambdaric", handler]
from awslambdaric.__main__ import main
main(sys.argv)
`

// command is the command line and the environment of an instance's process, and the name of its container, if it has one.
func (i *Instance) command(api string) (command, env []string, name string) {
	f, task, layers, client := i.function, i.task, i.layers, i.runtime.client
	if i.runtime.image != "" {
		task, layers, client = imageTask, imageLayers, imageClient
	}
	env = f.environment(task, layers, client, api, i.logStream)
	if i.runtime.image != "" {
		command, name = i.container(env)
		env = nil // the docker client needs this process's own
	} else {
		command = i.runtime.python(task, filepath.Join(task, "lib"), filepath.Join(layers, "lib"))
	}
	return append(command, "-c", boot, task, layers, client, f.Handler), env, name
}

// newID returns 32 random hexadecimal digits.
func newID() string {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // it never fails
	return hex.EncodeToString(id[:])
}

// newRequestID returns a random UUID.
func newRequestID() string {
	id := newID()
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", id[:8], id[8:12], id[13:16], id[17:20], id[20:])
}
