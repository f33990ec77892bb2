"""The AWS API on loopback: moto, whose Lambda functions are run by the program that started this.

Started by emulator.go with EMULATOR_RUNNER, the address that runs functions and is told the port, and EMULATOR_DIR, a
folder for deployment packages, in the environment. It ends when its standard input does, so it never outlives the starter.
"""

import base64
import copy
import hashlib
import inspect
import json
import os
import random
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote

from werkzeug.serving import make_server

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction, LambdaStorage, lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import iso_8601_datetime_with_nanoseconds, unix_time_millis
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

RUNNER = os.environ["EMULATOR_RUNNER"]
CODE = Path(os.environ["EMULATOR_DIR"], "code")
LOG_RESULT_LIMIT = 4096  # bytes of the log that LogType=Tail returns (Lambda's Invoke API)
log_lock = threading.Lock()
layer_files = {}  # paths of layer versions that functions have, by ARN


def replace(owner, name, parameters):
    """Replace a method of moto, which has to be the one this was written for: an upgrade that moves it fails here."""

    def decorate(new):
        old = getattr(owner, name, None)
        got = list(inspect.signature(old).parameters) if old else None
        if got != ["self", *parameters.split()]:
            sys.exit(f"this moto is not the one the emulator knows: {owner.__name__}.{name} takes {got}, want {parameters!r}")
        new.moto = old
        setattr(owner, name, new)
        return new

    return decorate


def call_runner(path, body):
    """Ask the program that started this."""
    request = urllib.request.Request(RUNNER + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on loopback, whatever the proxy settings
    try:
        with opener.open(request) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise LambdaClientError("InvalidRuntimeException", error.read().decode().strip()) from error


def stored(code):
    """Path of a deployment package, named by its content."""
    path = CODE / (hashlib.sha256(code).hexdigest() + ".zip")
    if not path.exists():
        partial = path.with_suffix(f".{threading.get_ident()}")
        partial.write_bytes(code)
        partial.rename(path)
    return str(path)


def logging_config(fn):
    """A function's logging configuration with the defaults that Lambda fills in."""
    config = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{fn.function_name}", **(fn.logging_config or {})}
    if config["LogFormat"] == "JSON":
        config = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **config}
    return config


def run(fn, arn, payload):
    """Run a function version and keep its log, as Lambda does, in the log group of its configuration."""
    logging = logging_config(fn)
    function = {
        "Zip": stored(fn.code_bytes),
        "Layers": [layer_files[layer["Arn"]] for layer in fn.layers],
        "Runtime": fn.run_time,
        "Arch": fn.architectures[0],
        "Name": fn.function_name,
        "Version": str(fn.version),
        "ARN": f"{base_arn(fn)}:{fn.version}",
        "Region": fn.region,
        "Handler": fn.handler,
        "Env": {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['MOTO_PORT']}", **fn.environment_vars},
        "MemoryMB": int(fn.memory_size),
        "Timeout": int(fn.timeout) * 1_000_000_000,
        "LogGroup": logging["LogGroup"],
        "LogFormat": logging["LogFormat"],
        "LogLevel": logging.get("ApplicationLogLevel", ""),
    }
    result = call_runner("invoke", {"Function": function, "ARN": arn, "Payload": base64.b64encode(payload).decode()})
    now = int(unix_time_millis())
    events = [{"timestamp": now, "message": event} for event in result["Events"]]
    with log_lock:
        fn.logs_backend.ensure_log_group(logging["LogGroup"])
        fn.logs_backend.ensure_log_stream(logging["LogGroup"], result["LogStream"])
        fn.logs_backend.put_log_events(logging["LogGroup"], result["LogStream"], events)
    return base64.b64decode(result["Payload"]), result["FunctionError"], "\n".join(result["Events"]) + "\n"


def base_arn(fn):
    return ":".join(fn.function_arn.split(":")[:7])


def resolve(storage, name, qualifier):
    """The function version that a name and a qualifier stand for, an alias's weights included, and the ARN so called."""
    if name.startswith("arn:"):
        _, name, in_name = storage.split_function_arn(name)
    else:
        name, _, in_name = name.partition(":")
    qualifier = in_name or qualifier
    fn = storage.get_function_by_name_with_qualifier(name, qualifier)
    arn = f"{base_arn(fn)}:{qualifier}" if qualifier else base_arn(fn)
    alias = storage._get_function_aliases(name).get(qualifier)
    weights = (alias.routing_config or {}).get("AdditionalVersionWeights") if alias else None
    point = random.random()
    for version, weight in (weights or {}).items():
        point -= float(weight)
        if point < 0:
            return storage.get_function_by_name_with_qualifier(name, version), arn
    return fn, arn


# moto runs functions in Docker images of its own choice. This one serves its event sources (SQS, SNS, log subscriptions …).
@replace(LambdaFunction, "invoke", "body request_headers response_headers")
def invoke_function(self, body, request_headers, response_headers):
    payload, error, _ = run(self, base_arn(self), body.encode() if isinstance(body, str) else body)
    if error:
        response_headers["x-amz-function-error"] = error
    return payload


# moto reads "qualifier" where AWS's clients send "Qualifier", knows no alias weights, and names every error "Handled".
@replace(LambdaResponse, "invoke", "")
def invoke(self):
    # Not _get_param, which would look into the event as well.
    qualifier = self.querystring.get("Qualifier", [None])[0]
    fn, arn = resolve(self.backend._lambdas, unquote(self.path.rsplit("/", 2)[-2]), qualifier)
    payload = self.body.encode() if isinstance(self.body, str) else self.body or b""
    payload = payload.strip() or b"{}"
    try:
        json.loads(payload)
    except ValueError as error:
        raise LambdaClientError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from error
    headers = {"status": 200, "Content-Type": "application/json", "X-Amz-Executed-Version": str(fn.version)}
    kind = self.headers.get("X-Amz-Invocation-Type") or "RequestResponse"
    if kind == "DryRun":
        return 204, {**headers, "status": 204}, ""
    if kind == "Event":
        threading.Thread(target=run, args=(fn, arn, payload), daemon=True).start()
        return 202, {**headers, "status": 202}, ""
    answer, error, log = run(fn, arn, payload)
    if error:
        headers["X-Amz-Function-Error"] = error
    if self.headers.get("X-Amz-Log-Type") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(log.encode()[-LOG_RESULT_LIMIT:]).decode()
    return 200, headers, answer


# A function keeps its layers when they are deleted; moto would look for them in vain.
# https://docs.aws.amazon.com/lambda/latest/dg/deleting-layers.html
@replace(LambdaFunction, "_get_layers_data", "layers_versions_arns")
def get_layers_data(self, layers_versions_arns):
    data = get_layers_data.moto(self, layers_versions_arns)
    for layer in data:
        layer_files[layer["Arn"]] = stored(lambda_backends[self.account_id][self.region].layers_versions_by_arn(layer["Arn"]).code_bytes)
    return data


# moto drops the logging and dead letter configurations: a stack that sets one would differ at each refresh.
@replace(LambdaFunction, "__init__", "account_id spec region version")
def init_function(self, account_id, spec, region, version=1):
    init_function.moto(self, account_id, spec, region, version)
    self.logging_config = spec.get("LoggingConfig")
    self.dead_letter_config = spec.get("DeadLetterConfig")


@replace(LambdaFunction, "get_configuration", "on_create")
def get_configuration(self, on_create=False):
    config = get_configuration.moto(self, on_create)
    config["LoggingConfig"] = logging_config(self)
    if (self.dead_letter_config or {}).get("TargetArn"):
        config["DeadLetterConfig"] = self.dead_letter_config
    return config


# moto ignores these keys of an update, fails on an environment that is taken away, and keeps the time of modification.
@replace(LambdaFunction, "update_configuration", "config_updates")
def update_configuration(self, config_updates):
    updates = dict(config_updates)
    if "Environment" in updates:
        updates["Environment"] = {"Variables": (updates["Environment"] or {}).get("Variables") or {}}
    for key, attribute in (("LoggingConfig", "logging_config"), ("DeadLetterConfig", "dead_letter_config"),
                           ("TracingConfig", "tracing_config"), ("KMSKeyArn", "kms_key_arn")):
        if key in updates:
            setattr(self, attribute, updates[key])
    if "EphemeralStorage" in updates:
        self.ephemeral_storage = updates["EphemeralStorage"]["Size"]
    self.last_modified = iso_8601_datetime_with_nanoseconds()
    return update_configuration.moto(self, updates)


# The architecture is part of an update of the code, which moto ignores.
@replace(LambdaFunction, "update_function_code", "updated_spec")
def update_function_code(self, updated_spec):
    if updated_spec.get("Architectures") and not updated_spec.get("DryRun"):
        self.architectures = updated_spec["Architectures"]
    self.last_modified = iso_8601_datetime_with_nanoseconds()
    return update_function_code.moto(self, updated_spec)


# Lambda publishes nothing where code and configuration are those of the last version, and never uses a number again, not
# even for a function that was deleted and made anew. moto looks at a flag that is wrong after the first version, and counts
# the versions that are left. https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
@replace(LambdaStorage, "publish_version", "name_or_arn description")
def publish_version(self, name_or_arn, description=""):
    latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
    versions = self._functions[latest.function_name]["versions"]
    ignored = {"Version", "FunctionArn", "LastModified"} | ({"Description"} if description else set())

    def content(fn):
        return {key: value for key, value in fn.get_configuration().items() if key not in ignored}

    if versions and content(versions[-1]) == content(latest):
        return versions[-1]
    counts = self.__dict__.setdefault("published", {})
    counts[latest.function_name] = counts.get(latest.function_name, 0) + 1
    fn = copy.copy(latest)
    fn.code = dict(latest.code)
    fn.set_version(counts[latest.function_name])
    fn.description = description or fn.description
    versions.append(fn)
    self._arns[fn.function_arn] = fn
    return fn


class Unsigned:
    """Lets plain curl call Lambda: an unsigned request goes to the region that has the function."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/2015-03-31/") and "HTTP_AUTHORIZATION" not in environ:
            name = (path.split("/") + [""] * 4)[3].split(":")[0]
            regions = [region for region, backend in list(lambda_backends[DEFAULT_ACCOUNT_ID].items()) if name in backend._lambdas._functions]
            scope = f"local/20150331/{(regions or ['us-east-1'])[0]}/lambda/aws4_request"
            environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
            environ["CONTENT_TYPE"] = "application/json"  # curl -d says it is a form
        return self.app(environ, start_response)


def end_with_starter():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    CODE.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=end_with_starter, daemon=True).start()
    app = Unsigned(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=MotoRequestHandler)
    os.environ["MOTO_PORT"] = str(server.server_port)
    call_runner("ready", {"Port": server.server_port})
    server.serve_forever()


if __name__ == "__main__":
    main()
