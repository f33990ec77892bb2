package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// sets installs each set for the default target with uv, and verifies it.
func sets(ctx context.Context, j *judge) error {
	list, err := lines("sets.txt")
	if err != nil {
		return err
	}
	table := []string{"set\tpackage\tversion\tfiles\tbytes\tELF files\tverdict"}
	outcome := map[string]string{} // by normalised name
	refused := 0
	for _, line := range list {
		name, requirements, _ := strings.Cut(strings.TrimPrefix(line, "!"), ":")
		dir, err := j.install(ctx, strings.Fields(requirements))
		if err != nil {
			return err
		}
		facts, _, err := verify.ScanPath(ctx, dir)
		if err != nil {
			return err
		}
		report := facts.Judge(target.Default, verify.Options{})
		fmt.Fprintf(os.Stderr, "%-10s %3d packages, %4d ELF files, %d errors, %d remarks\n", name, len(report.Packages), len(facts.ELF), len(report.Errors), len(report.Remarks))
		if err := report.Err(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		native := map[int]int{}
		for _, f := range facts.Files {
			if facts.ELF[f.Name] != nil {
				native[f.Dist]++
			}
		}
		elf := map[string]int{}
		for i, d := range facts.Dists {
			elf[d.Name] = native[i+1]
		}
		for _, p := range report.Packages {
			verdict := verdictOf(report, p.Name)
			if verdict != "accepted" && !strings.HasPrefix(line, "!") {
				refused++
			}
			outcome[normal(p.Name)] = verdict
			table = append(table, fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%s", name, p.Name, p.Version, p.Files, p.Bytes, elf[p.Name], verdict))
		}
	}
	if err := errors.Join(write("sets.tsv", table), popular(outcome)); err != nil {
		return err
	}
	if refused > 0 {
		return fmt.Errorf("%d packages are refused", refused)
	}
	return nil
}

// verdictOf says whether a package is accepted. The size of a set as a whole is not the package's.
func verdictOf(report *verify.Report, name string) string {
	codes := map[string]bool{}
	for _, f := range report.Errors {
		if f.Package == name {
			codes[f.Code] = true
		}
	}
	if len(codes) == 0 {
		return "accepted"
	}
	all := "refused:"
	for code := range codes {
		all += " " + code
	}
	return all
}

// install puts requirements and all that they require into a folder, once, and leaves out what bundle build would.
func (j *judge) install(ctx context.Context, requirements []string) (string, error) {
	dir := filepath.Join(j.tools, "judge", fmt.Sprintf("set-%x", sha256.Sum256([]byte(strings.Join(requirements, " "))))[:len("set-")+12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial) //nolint:errcheck // gone after the rename
	args := []string{"pip", "install", "--quiet", "--no-config", "--target", partial, "--python-platform", target.Default.UVPlatform(),
		"--python-version", target.Default.Runtime.Python, "--only-binary", ":all:", "--no-compile-bytecode"}
	if _, err := output(ctx, j.uv, append(args, requirements...)...); err != nil {
		return "", err
	}
	return dir, os.Rename(partial, dir)
}

// popular writes what became of each popular package.
func popular(outcome map[string]string) error {
	names, err := lines("popular.txt")
	if err != nil {
		return err
	}
	table := []string{"rank\tpackage\toutcome"}
	accepted, missing := 0, 0
	for i, name := range names {
		verdict := outcome[normal(name)]
		switch verdict {
		case "":
			verdict = "in no set"
			missing++
		case "accepted":
			accepted++
		}
		table = append(table, fmt.Sprintf("%d\t%s\t%s", i+1, name, verdict))
	}
	fmt.Printf("%d packages installed; of the %d most downloaded %d accepted, %d in no set, %d refused\n", len(outcome), len(names), accepted, missing, len(names)-accepted-missing)
	return write("popular.tsv", table)
}

func normal(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}
