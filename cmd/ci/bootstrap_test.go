package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sample-python-arm64-lambda/internal/testtools"
)

// send calls an AWS API of the emulated account. Its signature is not checked, only what service it is for.
func send(t *testing.T, method, url, service, body string, headers ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/ap-northeast-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	if service == "iam" || service == "cloudformation" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %v\n%s", method, url, resp.Status, err, text)
	}
	return string(text)
}

// role is a role of bootstrap/ as the account has it.
type role struct {
	trust    document
	tags     map[string]string
	policies []document
}

type document struct {
	Statement []struct {
		Effect, Sid      string
		Action, Resource strs
		Condition        map[string]map[string]strs
	}
}

// strs is a JSON string or a list of them.
type strs []string

func (s *strs) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = strs{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(s))
}

// bootstrap deploys the template and returns the roles that it made.
func (w *world) bootstrap(repository string) map[string]role {
	t := w.t
	t.Helper()
	template, err := os.ReadFile(filepath.Join(testtools.Root(t), "bootstrap", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"Action": {"CreateStack"}, "Version": {"2010-05-15"}, "StackName": {"bootstrap"}, "TemplateBody": {string(template)},
		"Capabilities.member.1": {"CAPABILITY_NAMED_IAM"}, "Parameters.member.1.ParameterKey": {"Repository"}, "Parameters.member.1.ParameterValue": {repository}}
	w.api("POST", "cloudformation", "/", form.Encode())
	w.repairKey()
	roles := map[string]role{}
	for _, name := range []string{"dev", "staging", "prod", "pr", "preview"} {
		roles[name] = w.role("sample-python-arm64-lambda-" + name)
	}
	return roles
}

// iam calls IAM and returns the elements of its answer with a name.
func (w *world) iam(action, element string, parameters ...string) []string {
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	var found []string
	for _, m := range regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(w.api("POST", "iam", "/", form.Encode()), -1) {
		found = append(found, m[1])
	}
	return found
}

func (w *world) role(name string) role {
	w.t.Helper()
	r := role{tags: map[string]string{}, trust: w.document(w.iam("GetRole", "AssumeRolePolicyDocument", "RoleName", name)[0])}
	keys := w.iam("ListRoleTags", "Key", "RoleName", name)
	for i, value := range w.iam("ListRoleTags", "Value", "RoleName", name) {
		r.tags[keys[i]] = value
	}
	for _, arn := range w.iam("ListAttachedRolePolicies", "PolicyArn", "RoleName", name) {
		version := w.iam("GetPolicy", "DefaultVersionId", "PolicyArn", arn)[0]
		r.policies = append(r.policies, w.document(w.iam("GetPolicyVersion", "Document", "PolicyArn", arn, "VersionId", version)[0]))
	}
	return r
}

func (w *world) document(text string) (d document) {
	w.t.Helper()
	plain, err := url.QueryUnescape(strings.NewReplacer("&quot;", `"`, "&#34;", `"`, "&amp;", "&").Replace(text))
	if err == nil {
		err = json.Unmarshal([]byte(plain), &d)
	}
	if err != nil {
		w.t.Fatalf("%v in %s", err, text)
	}
	return d
}

// allows says whether the role may make a call.
func (r role) allows(c awsCall) bool {
	context := map[string]string{"iam:PassedToService": "lambda.amazonaws.com"}
	for _, d := range r.policies {
		for _, s := range d.Statement {
			if s.Effect == "Allow" && slices.Contains(s.Action, c.action) && r.matchAny(s.Resource, c.resource) && r.holds(s.Condition, context) {
				return true
			}
		}
	}
	return false
}

func (r role) matchAny(patterns []string, value string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return r.match(p, value) })
}

// match matches as IAM does: * is any text, variables are values without wildcards.
func (r role) match(pattern, value string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	for name, tag := range r.tags {
		quoted = strings.ReplaceAll(quoted, regexp.QuoteMeta("${aws:PrincipalTag/"+name+"}"), regexp.QuoteMeta(tag))
	}
	return regexp.MustCompile("^" + quoted + "$").MatchString(value)
}

func (r role) holds(conditions map[string]map[string]strs, context map[string]string) bool {
	for operator, keys := range conditions {
		for key, wanted := range keys {
			if got, ok := context[key]; !ok || operator != "StringEquals" || !slices.Contains(wanted, got) {
				return false
			}
		}
	}
	return true
}

// granted are the actions of a role's policies.
func (r role) granted() (actions []string) {
	for _, d := range r.policies {
		for _, s := range d.Statement {
			actions = append(actions, s.Action...)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// asked is bootstrap/actions.json: what is called, by whom.
type asked struct {
	// Recorded was seen at the emulated account.
	Recorded []string `json:"recorded"`
	// Optional is what is not called here, with the reason why it is granted.
	Optional []struct {
		Reason  string   `json:"reason"`
		Actions []string `json:"actions"`
	} `json:"optional"`
}

// checkRoles holds the policies against what was called: nothing is missing, nothing is granted that is not on the list, and
// no role reaches another's stack.
func (w *world) checkRoles(roles map[string]role, recorded map[string][]awsCall) {
	t := w.t
	t.Helper()
	key := w.keyARN()
	var deploy []awsCall
	for name, calls := range recorded {
		for _, c := range calls {
			if strings.HasSuffix(c.action, "?") {
				t.Errorf("%s: the recorder does not know %+v", name, c)
			}
			if c.resource == "key" {
				c.resource = key
			}
			if !roles[name].allows(c) {
				t.Errorf("role %s may not %s on %s", name, c.action, c.resource)
			}
			other := map[string]string{"dev": "prod", "prod": "dev", "staging": "pr", "pr": "staging", "preview": ""}[name]
			shared := strings.HasPrefix(c.action, "kms:") || strings.HasPrefix(c.action, "ecr:") || c.action == "s3:ListBucket" ||
				c.action == "logs:DescribeLogGroups" || strings.HasSuffix(c.resource, "/.pulumi/meta.yaml")
			if other != "" && !shared && roles[other].allows(c) {
				t.Errorf("role %s may %s on %s, which is stack %s's", other, c.action, c.resource, name)
			}
		}
		if name != "preview" {
			deploy = append(deploy, calls...)
		}
	}
	file := filepath.Join(testtools.Root(t), "bootstrap", "actions.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string]*asked{}
	if err := json.Unmarshal(text, &lists); err != nil {
		t.Fatal(err)
	}
	for name, calls := range map[string][]awsCall{"preview": recorded["preview"], "deploy": deploy} {
		got := sortedActions(calls)
		if *update {
			lists[name].Recorded = got
		}
		if !slices.Equal(got, lists[name].Recorded) {
			t.Errorf("%s calls %q, bootstrap/actions.json says %q", name, got, lists[name].Recorded)
		}
		holder := map[string]string{"preview": "preview", "deploy": "dev"}[name]
		want := slices.Clone(lists[name].Recorded)
		for _, o := range lists[name].Optional {
			for _, a := range o.Actions {
				if o.Reason == "" || slices.Contains(want, a) {
					t.Errorf("bootstrap/actions.json, %s: %s has no reason, or is there twice", name, a)
				}
			}
			want = append(want, o.Actions...)
		}
		slices.Sort(want)
		granted := roles[holder].granted()
		less := slices.DeleteFunc(slices.Clone(want), func(a string) bool { return slices.Contains(granted, a) })
		more := slices.DeleteFunc(slices.Clone(granted), func(a string) bool { return slices.Contains(want, a) })
		if len(less)+len(more) > 0 {
			t.Errorf("bootstrap/actions.json lists %q, which role %s is not granted; it is granted %q, which is not listed", less, holder, more)
		}
	}
	if *update {
		text, err := json.MarshalIndent(lists, "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// keyARN is the key of the alias.
func (w *world) keyARN() string {
	w.t.Helper()
	var answer struct{ KeyMetadata struct{ Arn string } }
	w.json("kms", "TrentService.DescribeKey", `{"KeyId": "alias/sample-python-arm64-lambda"}`, &answer)
	return answer.KeyMetadata.Arn
}

// repairKey gives the key its policy again: moto 5.2.5 keeps the one of a template as an object, and answers each call for
// the key with an error because it is no text.
func (w *world) repairKey() {
	w.t.Helper()
	var answer struct {
		Aliases []struct {
			AliasName   string
			TargetKeyID string `json:"TargetKeyId"`
		}
	}
	w.json("kms", "TrentService.ListAliases", "{}", &answer)
	for _, a := range answer.Aliases {
		if a.AliasName == "alias/sample-python-arm64-lambda" {
			w.json("kms", "TrentService.PutKeyPolicy", fmt.Sprintf(`{"KeyId": %q, "PolicyName": "default", "Policy": "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"arn:aws:iam::123456789012:root\"}, \"Action\": \"kms:*\", \"Resource\": \"*\"}]}"}`, a.TargetKeyID), nil)
		}
	}
}

// json calls an API of the account that speaks JSON.
func (w *world) json(service, target, body string, into any) {
	w.t.Helper()
	text := send(w.t, "POST", w.aws.URL+"/", service, body, "X-Amz-Target", target, "Content-Type", "application/x-amz-json-1.1")
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.t.Fatal(err)
	}
}

// TestTheBootstrapMakesWhatItSays deploys the template to the emulated account.
func TestTheBootstrapMakesWhatItSays(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), files: t.TempDir(), hub: newGitHub(t)}
	w.emulator(testtools.Root(t))
	const repository = "octo@1/sample@2" // as the tokens of a new one name it
	roles := w.bootstrap(repository)
	for name, r := range roles {
		want := strs{"repo:" + repository + ":environment:" + name}
		if name == "preview" {
			want = strs{"repo:" + repository + ":pull_request", "repo:" + repository + ":ref:refs/heads/main"}
		}
		trust := r.trust.Statement
		if len(trust) != 1 || !slices.Equal(trust[0].Condition["StringEquals"]["token.actions.githubusercontent.com:sub"], want) ||
			!slices.Equal(trust[0].Condition["StringEquals"]["token.actions.githubusercontent.com:aud"], strs{"sts.amazonaws.com"}) {
			t.Errorf("role %s trusts %+v, want %q", name, trust, want)
		}
		for _, s := range slices.Concat(r.policies[0].Statement) {
			for _, a := range s.Action {
				if strings.Contains(a, "*") {
					t.Errorf("role %s: statement %s grants %s", name, s.Sid, a)
				}
			}
			for _, resource := range s.Resource {
				ours := strings.Contains(resource, "sample-python-arm64-lambda") || strings.Contains(resource, "${aws:PrincipalTag/function}") ||
					strings.Contains(resource, ":key/")
				if !ours && s.Sid != "RegistryToken" && s.Sid != "LogGroupList" {
					t.Errorf("role %s: statement %s is for %s", name, s.Sid, resource)
				}
			}
		}
	}
	for _, bucket := range []string{"state", "artifacts"} {
		if got := w.api("GET", "s3", "/sample-python-arm64-lambda-"+bucket+"-123456789012?encryption", ""); !strings.Contains(got, "AES256") {
			t.Errorf("bucket %s: encryption is %s", bucket, got)
		}
	}
	if key := w.keyARN(); !strings.HasPrefix(key, "arn:aws:kms:ap-northeast-1:123456789012:key/") {
		t.Errorf("the alias leads to %q", key)
	}
	var images struct {
		Repositories []struct{ RepositoryName string }
	}
	w.json("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", "{}", &images)
	if len(images.Repositories) != 1 || images.Repositories[0].RepositoryName != "sample-python-arm64-lambda" {
		t.Errorf("got repositories %v", images.Repositories)
	}
}

// TestTheTemplate holds the template itself: the emulated account takes no more of a bucket from CloudFormation than
// its name and its encryption, and holds no parameter against its pattern.
func TestTheTemplate(t *testing.T) {
	var template struct {
		Parameters map[string]struct {
			AllowedPattern string `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Properties map[string]any `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	readYAML(t, filepath.Join(testtools.Root(t), "bootstrap", "template.yaml"), &template)
	pattern := regexp.MustCompile("^(" + template.Parameters["Repository"].AllowedPattern + ")$")
	for repository, want := range map[string]bool{
		"octo/sample": true, "Octo-org@583231/sample.py_1@1296269": true,
		"octo": false, "octo/*": false, "octo/sample@": false, "octo/sample:ref": false, "octo/sample@1x": false, "a/b/c": false,
	} {
		if pattern.MatchString(repository) != want {
			t.Errorf("repository %q is taken: %v, want %v", repository, !want, want)
		}
	}
	for _, name := range []string{"StateBucket", "ArtifactBucket"} {
		got := fmt.Sprint(template.Resources[name].Properties)
		for _, want := range []string{
			"VersioningConfiguration:map[Status:Enabled]", "ObjectOwnership:BucketOwnerEnforced",
			"PublicAccessBlockConfiguration:map[BlockPublicAcls:true BlockPublicPolicy:true IgnorePublicAcls:true RestrictPublicBuckets:true]",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %s in %s", name, want, got)
			}
		}
		policy := template.Resources[name+"Policy"]
		if got := fmt.Sprint(policy.Properties); policy.Properties["Bucket"] != name || !strings.Contains(got, "aws:SecureTransport:false") {
			t.Errorf("%s: its policy is %s", name, got)
		}
	}
}
