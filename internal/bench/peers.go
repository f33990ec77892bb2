package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sample-python-arm64-lambda/internal/testtools"
)

// peer is another way from requirements and sources to a zip.
type peer struct {
	name    string
	setup   func(*bench) (env []string, err error)       // installs it; the error is the reason why it cannot run
	files   map[string]string                            // what its folder needs beside requirements and source
	layout  checkout                                     // where requirements and source are in its folder
	cold    []string                                     // what it keeps between builds, downloads apart
	zip     string                                       // what it makes
	do      func(b *bench, dir string, env []string) job // the job
	daemon  bool                                         // it works in a daemon, whose CPU time and bytes are not seen
	version []string
}

// zipOf is the step that tools leave to their deployment: the folder becomes a zip.
func zipOf(dir, tree string) command {
	return command{filepath.Join(dir, tree), nil, []string{"zip", "-6", "-q", "-r", filepath.Join(dir, "out.zip"), "."}}
}

// dockerBuilder is this project's own other builder.
const dockerBuilder = "docker build + bundle build -image"

// plain is the layout of the product.
var plain = checkout{requirements: "requirements.txt", source: "src/main.py"}

// remade is a job of commands in the peer's folder that begin with removing what the last run made: its owner's tools
// ask for that, and it is part of the time.
func remade(stale []string, all func(dir string, env []string) []command) func(*bench, string, []string) job {
	return func(_ *bench, dir string, env []string) job {
		return func(run func(command) error) error {
			if err := remove(dir, stale...); err != nil {
				return err
			}
			return commands(all(dir, env)...)(run)
		}
	}
}

var peers = []peer{
	{name: "pip --platform + zip -6", setup: venv("pip"), layout: plain, zip: "out.zip", version: []string{"pip", "--version"},
		cold: []string{"tree", "out.zip"},
		do: remade([]string{"tree", "out.zip"}, func(dir string, env []string) []command {
			return []command{
				{dir, env, []string{"python", "-m", "pip", "install", "-q", "--platform", "manylinux2014_aarch64", "--python-version", "3.11",
					"--only-binary=:all:", "--target", "tree", "-r", "requirements.txt"}},
				{dir, nil, []string{"cp", "-r", "src/.", "tree"}}, zipOf(dir, "tree"),
			}
		})},
	sam("sam build + zip -6", "", "--cached"),
	sam("sam build, python-uv + zip -6", "    Metadata:\n      BuildMethod: python-uv\n", "--cached", "--beta-features"),
	{name: "pex", setup: venv("pex"), layout: plain, zip: "out.zip", files: map[string]string{"platform.json": pexPlatform}, version: []string{"pex", "--version"},
		cold: []string{"out.zip", "pex"}, // its downloads stand or fall with the rest
		do: remade(nil, func(dir string, env []string) []command {
			return []command{{dir, append(env, "PEX_ROOT="+filepath.Join(dir, "pex")), []string{"pex", "-r", "requirements.txt", "--complete-platform", "platform.json", "-D", "src", "-o", "out.zip"}}}
		})},
	{name: "chalice package", setup: venv("chalice"), layout: checkout{requirements: "requirements.txt", source: "chalicelib/main.py"}, zip: "out/deployment.zip",
		files: map[string]string{
			"app.py":               "from chalice import Chalice\n\napp = Chalice(app_name='bench')\n\n\n@app.lambda_function()\ndef handler(event, context):\n    return 1\n",
			".chalice/config.json": `{"version": "2.0", "app_name": "bench", "lambda_architecture": "arm64", "stages": {"dev": {}}}`,
		},
		version: []string{"chalice", "--version"}, cold: []string{".chalice/deployments", "out"},
		do: remade(nil, func(dir string, env []string) []command {
			return []command{{dir, env, []string{"chalice", "package", "out"}}}
		})},
	{name: "serverless-python-requirements", setup: node, layout: plain, zip: ".serverless/bench.zip", version: []string{"serverless", "--version"}, files: map[string]string{"serverless.yml": serverlessYAML},
		cold: []string{".serverless", "xdg"},
		do: remade(nil, func(dir string, env []string) []command {
			return []command{{dir, append(env, "XDG_CACHE_HOME="+filepath.Join(dir, "xdg")), []string{"serverless", "package"}}}
		})},
	{name: cdkPeer, setup: cdk, layout: checkout{requirements: "asset/requirements.txt", source: "asset/src/main.py"}, zip: "out.zip", daemon: true, version: []string{"cdk", "--version"},
		files: map[string]string{"app.js": cdkApp, "cdk.json": `{"app": "node app.js"}`}, cold: []string{"cdk.out", "out.zip"}, do: cdkJob},
	{name: dockerBuilder, setup: dockerOnly, layout: plain, zip: "dist/bundle.zip", daemon: true, cold: []string{"cache", "dist", "context"}, do: dockerJob},
}

// sam is a SAM template's build, with what its CLI offers to be faster.
func sam(name, metadata string, flags ...string) peer {
	return peer{name: name, setup: venv("sam"), layout: checkout{requirements: "fn/requirements.txt", source: "fn/main.py"}, zip: "out.zip",
		files: map[string]string{"template.yaml": samTemplate + metadata}, version: []string{"sam", "--version"}, cold: []string{".aws-sam", "out.zip"},
		do: remade([]string{"out.zip"}, func(dir string, env []string) []command {
			return []command{{dir, env, append([]string{"sam", "build"}, flags...)}, zipOf(dir, ".aws-sam/build/Function")}
		})}
}

const samTemplate = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: fn
      Handler: main.handler
      Runtime: python3.11
      Architectures: [arm64]
`

// pexPlatform is python3.11 on arm64 with glibc 2.17, for pex (https://docs.pex-tool.org/buildingpex.html).
const pexPlatform = `{
  "marker_environment": {
    "implementation_name": "cpython", "implementation_version": "3.11.0", "os_name": "posix", "platform_machine": "aarch64",
    "platform_python_implementation": "CPython", "platform_release": "", "platform_system": "Linux", "platform_version": "",
    "python_full_version": "3.11.0", "python_version": "3.11", "sys_platform": "linux"
  },
  "compatible_tags": [
    "cp311-cp311-manylinux2014_aarch64", "cp311-cp311-manylinux_2_17_aarch64", "cp311-abi3-manylinux2014_aarch64", "cp311-abi3-manylinux_2_17_aarch64",
    "cp39-abi3-manylinux2014_aarch64", "cp39-abi3-manylinux_2_17_aarch64", "cp37-abi3-manylinux2014_aarch64", "cp37-abi3-manylinux_2_17_aarch64",
    "cp311-none-manylinux2014_aarch64", "cp311-none-any", "py311-none-any", "py3-none-any", "py2.py3-none-any"
  ]
}
`

const serverlessYAML = `service: bench
frameworkVersion: "3"
provider: {name: aws, runtime: python3.11, architecture: arm64, region: us-east-1}
plugins: [serverless-python-requirements]
custom:
  pythonRequirements:
    pythonBin: python3
    dockerizePip: false
    useDownloadCache: false # but pip's own
    pipCmdExtraArgs: ["--platform=manylinux2014_aarch64", "--only-binary=:all:", "--python-version=3.11"]
package: {patterns: ["!**", "src/**"]}
functions: {handler: {handler: src/main.handler}}
`

// cdkApp is a function with bundling in the build image. An image without coreutils copies with Python.
var cdkApp = `const { App, DockerImage, Stack } = require("aws-cdk-lib");
const lambda = require("aws-cdk-lib/aws-lambda");

const stack = new Stack(new App(), "bench");
new lambda.Function(stack, "Function", {
  runtime: lambda.Runtime.PYTHON_3_11,
  architecture: lambda.Architecture.ARM_64,
  handler: "main.handler",
  code: lambda.Code.fromAsset("asset", {
    bundling: {
      image: DockerImage.fromRegistry("` + testtools.BaseImage("arm64") + `"),
      platform: "linux/arm64",
      network: "host",
      command: ["sh", "-c", "pip install -r requirements.txt -t /asset-output && { cp -au src/. /asset-output 2>/dev/null || " +
        "python3.11 -c 'import shutil; shutil.copytree(\"src\", \"/asset-output\", dirs_exist_ok=True)'; }"],
    },
  }),
});
`

// cdkJob synthesises, and zips the asset that came out, as the CDK does when it deploys.
func cdkJob(_ *bench, dir string, env []string) job {
	return func(run func(command) error) error {
		if err := run(command{dir, env, []string{"cdk", "synth", "-q", "--no-notices", "--no-version-reporting"}}); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, "cdk.out", "bench.assets.json"))
		if err != nil {
			return err
		}
		var assets struct {
			Files map[string]struct {
				Source struct{ Path, Packaging string }
			}
		}
		if err := json.Unmarshal(text, &assets); err != nil {
			return err
		}
		for _, f := range assets.Files {
			if f.Source.Packaging == "zip" {
				return errors.Join(remove(dir, "out.zip"), run(zipOf(dir, filepath.Join("cdk.out", f.Source.Path))))
			}
		}
		return fmt.Errorf("reading the CDK's assets: none is a folder")
	}
}

// dockerJob is this project's docker builder, by hand.
func dockerJob(b *bench, dir string, env []string) job {
	return func(run func(command) error) error {
		build := []string{strings.TrimPrefix(env[0], dockerVariable), "build", "-q", "--platform", "linux/arm64", "-t", "bench:deps", "context"}
		if _, err := os.Stat(filepath.Join(dir, "cache")); err != nil { // cold
			build = slices.Insert(build, 2, "--no-cache")
		}
		return commands(command{dir, nil, []string{b.bundle, "context", "context"}}, command{dir, nil, build},
			command{dir, nil, []string{b.bundle, "build", "-cache", "cache", "-image", "bench:deps", "-o", "dist/bundle.zip"}})(run)
	}
}

// measurePeers measures every peer, or says why it cannot be.
func (b *bench) measurePeers(w workload, dir string) {
	for _, p := range peers {
		if !strings.Contains(p.name, b.peers) {
			continue
		}
		if err := b.measurePeer(w, p, filepath.Join(dir, "peer")); err != nil {
			b.results = append(b.results, result{workload: w.name, tool: p.name, reason: b.reason(err)})
			b.say(fmt.Sprintf("%s: %s cannot run: %v", w.name, p.name, err))
		}
		if err := removeAll(filepath.Join(dir, "peer")); err != nil {
			b.say(err.Error())
		}
	}
}

func (b *bench) measurePeer(w workload, p peer, at string) error {
	env, err := p.setup(b)
	if err != nil {
		return err
	}
	env = append(env, "PIP_CACHE_DIR="+filepath.Join(b.dir, "pip"), "UV_CACHE_DIR="+filepath.Join(filepath.Dir(at), "uv"))
	if w.name == workloads[0].name && p.version != nil {
		b.version(p.version[0], command{env: env, args: p.version})
	}
	c := p.layout
	c.dir = at
	if err := c.write(requirements(w.name)); err != nil {
		return err
	}
	for name, text := range p.files {
		if err := writeFile(filepath.Join(at, name), text); err != nil {
			return err
		}
	}
	if err := b.linkModules(at); err != nil {
		return err
	}
	prepare := map[string]func() error{
		cold: func() error { return remove(at, p.cold...) }, unchanged: func() error { return nil }, lineChanged: c.edit,
	}
	do := p.do(b, at, env)
	if p.name == peers[0].name || !p.daemon && len(w.peers) > 1 { // pip's cache of downloads is shared
		if err := do(b.do); err != nil {
			return err
		}
	}
	for _, name := range w.peers {
		s := scenario{name: name, prepare: prepare[name], do: do, zip: filepath.Join(at, p.zip), budget: b.budget}
		if err := b.add(w.name, p.name, s); err != nil {
			return err
		}
		if err := holdsArm64(s.zip); err != nil {
			return err
		}
		if last := &b.results[len(b.results)-1]; p.daemon {
			last.median.cpu, last.median.read, last.median.written = 0, 0, 0
		}
	}
	return nil
}

// holdsArm64 says whether the zip has extension modules for the target, and none for another machine.
func holdsArm64(file string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close() //nolint:errcheck // opened for reading
	found := 0
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "-x86_64-linux-gnu.so") {
			return fmt.Errorf("its zip has %s, which is not for arm64", f.Name)
		}
		if strings.HasSuffix(f.Name, "-aarch64-linux-gnu.so") {
			found++
		}
	}
	if found == 0 {
		return errors.New("its zip has no extension module for arm64")
	}
	return nil
}
