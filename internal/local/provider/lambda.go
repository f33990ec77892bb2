package provider

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var functionInputs = schema{
	"architectures":                {set: true},
	"code":                         {local: true},
	"deadLetterConfig":             {sticky: true, clear: object{"targetArn": ""}, fields: properties("targetArn")},
	"description":                  {clear: ""},
	"environment":                  {clear: object{"variables": object{}}, fields: properties("variables")},
	"ephemeralStorage":             {clear: object{"size": 512}, fields: properties("size")}, // MB, Lambda's default
	"handler":                      {},
	"kmsKeyArn":                    {clear: ""},
	"layers":                       {clear: []string{}},
	"loggingConfig":                {sticky: true, clear: object{"logFormat": "Text"}, fields: properties("applicationLogLevel", "logFormat", "logGroup", "systemLogLevel")},
	"memorySize":                   {def: 128.0}, // MB
	"name":                         {autoName: 64, replace: true},
	"packageType":                  {def: "Zip", replace: true},
	"publish":                      {local: true, def: false},
	"reservedConcurrentExecutions": {def: -1.0}, // none reserved
	"role":                         {required: true},
	"runtime":                      {},
	"s3Bucket":                     {local: true},
	"s3Key":                        {local: true},
	"s3ObjectVersion":              {local: true},
	"skipDestroy":                  {local: true, def: false},
	"sourceCodeHash":               {local: true},
	"tags":                         {},
	"timeout":                      {def: 3.0}, // seconds
	"tracingConfig":                {clear: object{"mode": "PassThrough"}, fields: properties("mode")},
	"vpcConfig": {clear: object{"subnetIds": []string{}, "securityGroupIds": []string{}},
		fields: schema{"ipv6AllowedForDualStack": {}, "securityGroupIds": {set: true}, "subnetIds": {set: true}}},
}

// Inputs whose change sends the code anew, and those that are no part of the configuration.
var (
	codeInputs  = []string{"code", "s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash", "architectures"}
	otherInputs = append([]string{"tags", "publish", "skipDestroy", "reservedConcurrentExecutions"}, codeInputs...)
)

var function = &kind{
	inputs: functionInputs,
	outputs: []string{"arn", "codeSha256", "invokeArn", "lastModified", "qualifiedArn", "qualifiedInvokeArn", "signingJobArn",
		"signingProfileVersionArn", "sourceCodeHash", "sourceCodeSize", "version"},
	tagged: &tagging{tag: "lambda:TagResource", untag: "lambda:UntagResource", key: "resource"},
	moves: func(c *call) (names []string) {
		if c.anyChanged(codeInputs...) {
			names = append(names, "codeSha256", "sourceCodeHash", "sourceCodeSize")
		}
		if c.functionChanged() {
			names = append(names, "lastModified")
		}
		if c.publishes() || c.changed["publish"] {
			names = append(names, "version", "qualifiedArn", "qualifiedInvokeArn")
		}
		return names
	},
	create: createFunction,
	read:   readFunction,
	update: updateFunction,
	delete: func(c *call) error {
		if c.state.bool("skipDestroy") {
			return nil
		}
		return c.try("lambda:DeleteFunction", object{"functionName": c.id})
	},
}

// configurationChanged and functionChanged tell whether the update changes the configuration, and that or the code.
func (c *call) configurationChanged() bool {
	for name := range c.changed {
		if !slices.Contains(otherInputs, name) {
			return true
		}
	}
	return false
}

func (c *call) functionChanged() bool { return c.configurationChanged() || c.anyChanged(codeInputs...) }

// publishes tells whether the update makes a new version.
func (c *call) publishes() bool {
	return c.in.bool("publish") && (c.functionChanged() || c.changed["publish"])
}

// How long a role that IAM has not spread yet and a function that is not ready yet are waited for.
const (
	roleWait  = time.Minute
	stateWait = 10 * time.Minute
	retryWait = 2 * time.Second
)

// until repeats try until it is done.
func (c *call) until(longest time.Duration, try func() (done bool, err error)) error {
	for deadline := time.Now().Add(longest); ; {
		done, err := try()
		if done || time.Now().After(deadline) {
			return err
		}
		select {
		case <-c.Done():
			return c.Err()
		case <-time.After(retryWait):
		}
	}
}

func createFunction(c *call) error {
	data, err := c.zip("code")
	if err != nil {
		return err
	}
	name := c.in.string("name")
	parameters := object{"functionName": name, "tags": c.tags(), "code": c.in.only("s3Bucket", "s3Key", "s3ObjectVersion").with(object{"zipFile": data})}
	err = c.until(roleWait, func() (bool, error) {
		err := c.make(name, "lambda:CreateFunction", c.in, parameters)
		return err == nil || !hasCode(err, "InvalidParameterValueException") || !strings.Contains(err.Error(), "cannot be assumed"), err
	})
	if err != nil {
		return err
	}
	if err := c.waitReady(); err != nil {
		return err
	}
	return c.setConcurrency()
}

// waitReady waits until the function can be called and changed.
func (c *call) waitReady() error {
	return c.until(stateWait, func() (bool, error) {
		f, err := c.do("lambda:GetFunctionConfiguration", object{"functionName": c.id})
		switch {
		case err != nil:
			return true, err
		case f["state"] == "Failed" || f["lastUpdateStatus"] == "Failed":
			return true, fmt.Errorf("the function is not ready: %s %s", f.string("stateReason"), f.string("lastUpdateStatusReason"))
		case f["state"] == "Pending" || f["lastUpdateStatus"] == "InProgress":
			return false, fmt.Errorf("the function is not ready after %s", stateWait)
		}
		return true, nil
	})
}

// setConcurrency reserves concurrency; below 0 none is.
func (c *call) setConcurrency() error {
	name := object{"functionName": c.id}
	if reserved, _ := c.in["reservedConcurrentExecutions"].(float64); reserved >= 0 {
		return c.try("lambda:PutFunctionConcurrency", name, c.in.only("reservedConcurrentExecutions"))
	}
	if len(c.state) == 0 {
		return nil
	}
	return c.try("lambda:DeleteFunctionConcurrency", name)
}

func readFunction(c *call) (object, error) {
	answer, err := c.do("lambda:GetFunction", object{"functionName": c.id})
	if err != nil {
		return nil, err
	}
	version, err := c.latestVersion()
	if err != nil {
		return nil, err
	}
	f := answer.object("configuration")
	arn := f.string("functionArn")
	layers := []any{}
	for _, l := range f.list("layers") {
		layers = append(layers, object(l.(map[string]any))["arn"])
	}
	reserved := answer.object("concurrency")["reservedConcurrentExecutions"]
	if reserved == nil {
		reserved = -1.0
	}
	return f.with(object{
		"name": c.id, "arn": arn, "invokeArn": c.invokeArn(arn), "layers": layers, "reservedConcurrentExecutions": reserved,
		"version": version, "qualifiedArn": arn + ":" + version, "qualifiedInvokeArn": c.invokeArn(arn + ":" + version),
		"sourceCodeHash": f["codeSha256"], "sourceCodeSize": f["codeSize"], "tags": answer["tags"],
	}), nil
}

// latestVersion returns the newest published version of a function that publishes, else $LATEST.
func (c *call) latestVersion() (string, error) {
	latest, page := "$LATEST", object{}
	for first := true; c.in.bool("publish") && (first || page.string("nextMarker") != ""); first = false {
		var err error
		page, err = c.do("lambda:ListVersionsByFunction", object{"functionName": c.id, "marker": page["nextMarker"]})
		if err != nil {
			return "", err
		}
		for _, v := range page.list("versions") { // the oldest first
			latest = object(v.(map[string]any)).string("version")
		}
	}
	return latest, nil
}

// invokeArn returns the ARN by which API Gateway calls a function.
func (c *call) invokeArn(arn string) string {
	partition, _ := c.partition()
	return fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", partition, c.region, arn)
}

// updateFunction changes the configuration and the code, in this order, and then publishes what came of it.
func updateFunction(c *call) error {
	name := object{"functionName": c.id}
	if c.configurationChanged() {
		if err := c.try("lambda:UpdateFunctionConfiguration", c.in, c.cleared(functionInputs), name); err != nil {
			return err
		}
		if err := c.waitReady(); err != nil {
			return err
		}
	}
	if c.anyChanged(codeInputs...) {
		data, err := c.zip("code")
		if err == nil {
			err = c.try("lambda:UpdateFunctionCode", c.in, name, object{"zipFile": data, "publish": false})
		}
		if err == nil {
			err = c.waitReady()
		}
		if err != nil {
			return err
		}
	}
	if c.changed["reservedConcurrentExecutions"] {
		if err := c.setConcurrency(); err != nil {
			return err
		}
	}
	if !c.publishes() {
		return nil
	}
	return c.try("lambda:PublishVersion", name)
}
