package provider

import (
	"crypto/md5" //nolint:gosec // part of the real provider's IDs, no protection
	"encoding/json"
	"fmt"
	"strings"
)

var aliasInputs = schema{
	"description":     {clear: ""},
	"functionName":    {required: true, replace: true},
	"functionVersion": {required: true},
	"name":            {autoName: 128, replace: true},
	"routingConfig":   {clear: object{"additionalVersionWeights": object{}}, fields: properties("additionalVersionWeights")},
}

// alias points to a version; its ID is its ARN, ...:function:FUNCTION:ALIAS.
var alias = &kind{
	inputs:  aliasInputs,
	outputs: []string{"arn", "invokeArn"},
	create: func(c *call) error {
		answer, err := c.do("lambda:CreateAlias", c.in)
		c.id = answer.string("aliasArn")
		return err
	},
	read: func(c *call) (object, error) {
		target := c.aliasNames()
		answer, err := c.do("lambda:GetAlias", target)
		if arn := answer.string("aliasArn"); arn != "" {
			c.id = arn // an import names FUNCTION/ALIAS
		}
		return answer.with(target).with(object{"arn": c.id, "invokeArn": c.invokeArn(c.id)}), err
	},
	update: func(c *call) error { return c.try("lambda:UpdateAlias", c.in, c.cleared(aliasInputs), c.aliasNames()) },
	delete: func(c *call) error { return c.try("lambda:DeleteAlias", c.aliasNames()) },
}

func (c *call) aliasNames() object {
	if function, name, ok := strings.Cut(c.id, "/"); ok {
		return object{"functionName": function, "name": name}
	}
	arn, name := cutLast(c.id)
	_, function := cutLast(arn)
	if given := c.in.string("functionName"); strings.HasSuffix(given, ":"+function) {
		function = given // the program has its ARN
	}
	return object{"functionName": function, "name": name}
}

// cutLast splits an ARN at its last colon.
func cutLast(arn string) (before, last string) {
	i := strings.LastIndex(arn, ":")
	return arn[:max(i, 0)], arn[i+1:]
}

// functionURL is a function's HTTPS address; its ID is FUNCTION or FUNCTION/QUALIFIER.
var functionURL = &kind{
	inputs: schema{
		"authorizationType": {required: true},
		"functionName":      {required: true, replace: true},
		"invokeMode":        {def: "BUFFERED", sticky: true},
		"qualifier":         {replace: true},
	},
	outputs: []string{"functionArn", "functionUrl", "urlId"},
	create: func(c *call) error {
		id := strings.TrimSuffix(c.in.string("functionName")+"/"+c.in.string("qualifier"), "/")
		return c.make(id, "lambda:CreateFunctionUrlConfig", c.in, object{"authType": c.in["authorizationType"]})
	},
	read: func(c *call) (object, error) {
		target := c.names("/", "functionName", "qualifier")
		answer, err := c.do("lambda:GetFunctionUrlConfig", target)
		id, _, _ := strings.Cut(strings.TrimPrefix(answer.string("functionUrl"), "https://"), ".")
		return answer.with(target).with(object{"authorizationType": answer["authType"], "urlId": id}), err
	},
	update: func(c *call) error {
		return c.try("lambda:UpdateFunctionUrlConfig", c.in, object{"authType": c.in["authorizationType"]})
	},
	delete: func(c *call) error {
		return c.try("lambda:DeleteFunctionUrlConfig", c.names("/", "functionName", "qualifier"))
	},
}

// layerVersion is a version of a layer, which nothing changes; its ID is its ARN, ...:layer:LAYER:VERSION.
var layerVersion = &kind{
	inputs: schema{
		"code":                    {local: true, replace: true},
		"compatibleArchitectures": {set: true, sticky: true, replace: true},
		"compatibleRuntimes":      {set: true, replace: true},
		"description":             {replace: true},
		"layerName":               {required: true, replace: true},
		"licenseInfo":             {replace: true},
		"s3Bucket":                {local: true, replace: true},
		"s3Key":                   {local: true, replace: true},
		"s3ObjectVersion":         {local: true, replace: true},
		"skipDestroy":             {local: true, def: false},
		"sourceCodeHash":          {local: true, replace: true},
	},
	outputs: []string{"arn", "codeSha256", "createdDate", "layerArn", "sourceCodeHash", "sourceCodeSize", "version"},
	create: func(c *call) error {
		data, err := c.zip("code")
		if err != nil {
			return err
		}
		content := c.in.only("s3Bucket", "s3Key", "s3ObjectVersion").with(object{"zipFile": data})
		answer, err := c.do("lambda:PublishLayerVersion", c.in, object{"content": content})
		c.id = answer.string("layerVersionArn")
		return err
	},
	read: func(c *call) (object, error) {
		layer, version := cutLast(c.id)
		_, name := cutLast(layer)
		answer, err := c.do("lambda:GetLayerVersion", c.layer())
		content := answer.object("content")
		return answer.with(object{
			"arn": c.id, "layerArn": layer, "layerName": name, "version": version,
			"codeSha256": content["codeSha256"], "sourceCodeHash": content["codeSha256"], "sourceCodeSize": content["codeSize"],
		}), err
	},
	delete: func(c *call) error {
		if c.state.bool("skipDestroy") {
			return nil
		}
		return c.try("lambda:DeleteLayerVersion", c.layer())
	},
}

func (c *call) layer() object {
	layer, version := cutLast(c.id)
	return object{"layerName": layer, "versionNumber": json.Number(version)}
}

// crud is the lifecycle scope of an invocation that is told of updates and deletes too.
const crud = "CRUD"

// invocation calls a function; an error of the function is an error of the resource.
var invocation = &kind{
	inputs: schema{
		"functionName":   {required: true, replace: true, local: true},
		"input":          {required: true, json: true, local: true},
		"lifecycleScope": {def: "CREATE_ONLY", local: true},
		"qualifier":      {def: "$LATEST", replace: true, local: true},
		"terraformKey":   {def: "tf", local: true},
		"triggers":       {replace: true, local: true},
	},
	outputs: []string{"result"},
	fixed:   func(in object) bool { return in.string("lifecycleScope") != crud },
	moves:   func(*call) []string { return []string{"result"} },
	create: func(c *call) error {
		if err := c.invoke("create", nil); err != nil {
			return err
		}
		sum := md5.Sum([]byte(c.in.string("input"))) //nolint:gosec // as above
		c.id = fmt.Sprintf("%s_%s_%x", c.in.string("functionName"), c.in.string("qualifier"), sum)
		return nil
	},
	read:   func(c *call) (object, error) { return c.state, nil }, // a call leaves nothing to look at
	update: func(c *call) error { return c.invoke("update", json.RawMessage(c.old.string("input"))) },
	delete: func(c *call) error {
		if c.in.string("lifecycleScope") != crud {
			return nil
		}
		return c.invoke("delete", json.RawMessage(c.in.string("input")))
	},
}

// invoke calls the function and keeps the result as the resource's state; a CRUD invocation is told what happens to the
// resource. The qualifier is part of the name: Lambda takes it so too, and emulators understand it.
func (c *call) invoke(action string, before json.RawMessage) error {
	payload := []byte(c.in.string("input"))
	if c.in.string("lifecycleScope") == crud {
		event := object{}
		err := json.Unmarshal(payload, &event)
		if err == nil {
			event[c.in.string("terraformKey")] = object{"action": action, "prev_input": before}
			payload, err = json.Marshal(event)
		}
		if err != nil {
			return fmt.Errorf("reading the input: %w", err)
		}
	}
	name := c.in.string("functionName") + ":" + c.in.string("qualifier")
	answer, err := c.do("lambda:Invoke", object{"functionName": name, "payload": payload})
	if err != nil {
		return err
	}
	if kind := answer.string("functionError"); kind != "" {
		return fmt.Errorf("invoking Lambda Function (%s): %s: %s", name, kind, answer["payload"])
	}
	c.state = object{"result": answer["payload"]}
	return nil
}
