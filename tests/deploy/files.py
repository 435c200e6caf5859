#!/usr/bin/python3
"""files.py PERCEPTD - do the files under docker/ say what the program can do?

    make deploy-files

Each file is parsed and judged by what Kubernetes, KServe, Docker and HAProxy demand of the fields that are used, and
by the program itself: every option and environment variable is one that `perceptd serve --help` lists, every probe and
scraped path one of `perceptd --routes`, every port the one that is listened on, every metric one of /metrics, and times
add up (what the platform grants is longer than what perceptd takes to drain). Fields that are not known here are
findings too: a misspelt field is silently ignored by those who read it.

Needs python3-yaml; HAProxy's own check is made where haproxy is installed. The last line counts.
"""
import os, re, shutil, subprocess, sys

PROGRAM = os.path.abspath(sys.argv[1])
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
passed, failed = 0, 0

try:
    import yaml
except ImportError:
    print('skipped: deployment files (python3-yaml is not installed)')
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)


def check(good, what):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f'failed: {what}')


def tell(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=True).stdout


OPTIONS = set(re.findall(r'^  --([a-z-]+)', tell('serve', '--help'), re.M))
ROUTES = {line.split()[1] for line in tell('--routes').splitlines() if line.startswith('GET ')}
METRICS = open(f'{ROOT}/src/http/metrics.def').read()
UNITS = {'ms': 0.001, 's': 1, 'm': 60, 'h': 3600}


def load(name):
    with open(f'{ROOT}/docker/{name}') as f:
        return list(yaml.safe_load_all(f))


def seconds(text):
    number, unit = re.fullmatch(r'(\d+)([a-z]+)', str(text)).groups()
    return int(number) * UNITS[unit]


# --- what may stand where: {field: what is in it}; [x]: a list of x; a function judges a value -----------------------

def text(value):
    return isinstance(value, str)


def number(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def truth(value):
    return isinstance(value, bool)


def quantity(value):
    return re.fullmatch(r'\d+(m|[KMGT]i?)?', str(value)) is not None


def port(value):
    return value in ('http', 'http1') or (number(value) and 0 < value < 65536)


def texts(value):
    return isinstance(value, dict) and all(text(k) and text(v) for k, v in value.items())


def anything(value):
    return True


PROBE = {'httpGet': {'path': text, 'port': port}, 'periodSeconds': number, 'timeoutSeconds': number,
         'failureThreshold': number}
SECURITY = {'runAsNonRoot': truth, 'runAsUser': number, 'runAsGroup': number, 'allowPrivilegeEscalation': truth,
            'readOnlyRootFilesystem': truth, 'privileged': truth, 'capabilities': {'drop': [text]},
            'seccompProfile': {'type': text}}
CONTAINER = {'name': text, 'image': text, 'args': [text], 'ports': [{'name': text, 'containerPort': port, 'protocol': text}],
             'resources': {'requests': {'cpu': quantity, 'memory': quantity}, 'limits': {'cpu': quantity, 'memory': quantity}},
             'securityContext': SECURITY, 'startupProbe': PROBE, 'readinessProbe': PROBE, 'livenessProbe': PROBE,
             'lifecycle': {'preStop': {'sleep': {'seconds': number}}},
             'volumeMounts': [{'name': text, 'mountPath': text}]}
VOLUMES = [{'name': text, 'emptyDir': {'medium': text, 'sizeLimit': quantity}}]
META = {'name': text, 'labels': texts, 'annotations': texts}
KINDS = {
    ('apps/v1', 'Deployment'): {
        'selector': {'matchLabels': texts},
        'strategy': {'rollingUpdate': {'maxSurge': number, 'maxUnavailable': number}},
        'template': {'metadata': META, 'spec': {
            'terminationGracePeriodSeconds': number, 'automountServiceAccountToken': truth, 'securityContext': SECURITY,
            'containers': [CONTAINER], 'volumes': VOLUMES}}},
    ('v1', 'Service'): {'selector': texts, 'ports': [{'name': text, 'port': port, 'targetPort': port}]},
    ('v1', 'ConfigMap'): None,
    ('policy/v1', 'PodDisruptionBudget'): {'minAvailable': number, 'selector': {'matchLabels': texts}},
    ('autoscaling/v2', 'HorizontalPodAutoscaler'): {
        'scaleTargetRef': {'apiVersion': text, 'kind': text, 'name': text}, 'minReplicas': number, 'maxReplicas': number,
        'metrics': [{'type': text, 'resource': {'name': text, 'target': {'type': text, 'averageUtilization': number}}}]},
    ('serving.kserve.io/v1alpha1', 'ServingRuntime'): {
        'annotations': texts,
        'supportedModelFormats': [{'name': text, 'version': text, 'autoSelect': truth, 'priority': number}],
        'protocolVersions': [text], 'multiModel': truth, 'containers': [CONTAINER], 'volumes': VOLUMES},
    ('serving.kserve.io/v1beta1', 'InferenceService'): {
        'predictor': {'minReplicas': number, 'model': {'runtime': text, 'modelFormat': {'name': text},
                                                       'protocolVersion': text, 'storageUri': text}}},
}
SERVICE = {'build': {'context': text, 'dockerfile': text}, 'image': text, 'ports': [text], 'environment': texts,
           'volumes': [text], 'depends_on': {'perceptd': {'condition': text}}, 'shm_size': anything,
           'deploy': {'replicas': number, 'update_config': {'parallelism': number, 'order': text}},
           'healthcheck': {'test': [text], 'interval': text, 'timeout': text, 'start_period': text},
           'stop_grace_period': text, 'read_only': truth, 'cap_drop': [text], 'security_opt': [text], 'restart': text}


def fits(value, form, at):
    if callable(form):
        check(form(value), f'{at}: {value!r} is not {form.__name__}')
    elif isinstance(form, list):
        check(isinstance(value, list) and value, f'{at} is no list')
        for i, item in enumerate(value or []):
            fits(item, form[0], f'{at}[{i}]')
    else:
        check(isinstance(value, dict), f'{at} is no mapping')
        for key, inner in value.items():
            if key in form:
                fits(inner, form[key], f'{at}.{key}')
            else:
                check(False, f'{at}.{key}: no such field is known')


# --- containers -------------------------------------------------------------------------------------------------------

def options_of(container):
    """Arguments as {option: value}; everything else in '': the paths."""
    options = {'': []}
    for argument in container.get('args', [])[1:]:
        name, _, value = argument[2:].partition('=') if argument.startswith('--') else ('', '', argument)
        if name:
            options[name] = value
        else:
            options[''].append(value)
    return options


def environment_is_known(environment, at):
    for name in environment:
        if name.startswith('PERCEPTD_') and name != 'PERCEPTD_REPLICAS':
            check(name[9:].lower().replace('_', '-') in OPTIONS, f'{at}: {name} is no option of perceptd')


def container_is_right(container, at, pod_security):
    options = options_of(container)
    check(container['args'][0] == 'serve', f'{at}: the first argument is not serve')
    for name in options:
        check(not name or name in OPTIONS, f'{at}: --{name} is no option of perceptd')
    ports = {p['name']: p['containerPort'] for p in container['ports']}
    check(8080 in ports.values(), f'{at}: 8080, where the image listens, is not among the ports')
    for probe in ('startupProbe', 'readinessProbe', 'livenessProbe'):
        get = container.get(probe, {}).get('httpGet')
        if get:
            check(get['path'] in ROUTES, f"{at}.{probe}: there is no route {get['path']}")
            check(get['port'] in ports or get['port'] in ports.values(), f"{at}.{probe}: port {get['port']} is not there")
    check(container['livenessProbe']['httpGet']['path'] == '/v2/health/live', f'{at}: liveness must not ask for readiness')
    security = {**pod_security, **container['securityContext']}
    check(security.get('runAsNonRoot') is True and security.get('runAsUser') == 10001, f'{at}: not the image\'s user')
    check(security.get('readOnlyRootFilesystem') is True and security.get('allowPrivilegeEscalation') is False and
          security.get('capabilities') == {'drop': ['ALL']} and
          security.get('seccompProfile') == {'type': 'RuntimeDefault'}, f'{at}: less closed than it could be')
    check(any(m['mountPath'] == '/dev/shm' for m in container['volumeMounts']), f'{at}: /dev/shm has 64 MB')
    cpu = container['resources']
    check(cpu['requests']['cpu'] == cpu['limits']['cpu'], f'{at}: cores are asked for that are not given')
    return seconds(options.get('drain-delay', '0s')) + seconds(options.get('drain-timeout', '25s'))


def pod_is_right(spec, at):
    drains = [container_is_right(c, f'{at}.{c["name"]}', spec.get('securityContext', {})) for c in spec['containers']]
    sleep = max(c.get('lifecycle', {}).get('preStop', {}).get('sleep', {}).get('seconds', 0) for c in spec['containers'])
    check(spec.get('terminationGracePeriodSeconds', 300) > max(drains) + sleep,
          f'{at}: killed before it has drained')
    names = {v['name'] for v in spec['volumes']}
    for container in spec['containers']:
        for mount in container['volumeMounts']:
            check(mount['name'] in names, f"{at}: no volume is called {mount['name']}")


# --- the files --------------------------------------------------------------------------------------------------------

def kubernetes(name):
    found = {}
    for document in load(name):
        kind = (document.get('apiVersion'), document.get('kind'))
        at = f"{name} {document.get('kind')}"
        check(kind in KINDS, f'{at}: {kind} is not known')
        fits(document['metadata'], META, f'{at}.metadata')
        if KINDS.get(kind):
            check(set(document) == {'apiVersion', 'kind', 'metadata', 'spec'}, f'{at}: odd members {sorted(document)}')
            fits(document['spec'], KINDS[kind], f'{at}.spec')
        found[document['kind']] = document
    return found


def annotations_are_right(annotations, prefix, at):
    check(annotations[f'{prefix}/port'] == '8080' and annotations[f'{prefix}/path'] in ROUTES, f'{at}: scraped where nothing is')


def check_kubernetes():
    found = kubernetes('kubernetes.yaml')
    template = found['Deployment']['spec']['template']
    labels = template['metadata']['labels']
    check(found['Deployment']['spec']['selector']['matchLabels'] == labels, 'the Deployment does not select its pods')
    check(found['Service']['spec']['selector'] == labels, 'the Service does not select the pods')
    check(found['PodDisruptionBudget']['spec']['selector']['matchLabels'] == labels, 'the budget does not select the pods')
    check(found['HorizontalPodAutoscaler']['spec']['scaleTargetRef']['name'] == found['Deployment']['metadata']['name'],
          'the autoscaler scales something else')
    annotations_are_right(template['metadata']['annotations'], 'prometheus.io', 'kubernetes.yaml')
    pod_is_right(template['spec'], 'kubernetes.yaml')
    rule = yaml.safe_load(found['ConfigMap']['data']['config.yaml'])['rules'][0]
    for used in re.findall(r'\b(?:nv|perceptd)_\w+', rule['seriesQuery'] + rule['metricsQuery']):
        check(f'({used},' in METRICS, f'the adapter\'s rule asks for {used}, which is no metric')
    with open(f'{ROOT}/docker/kubernetes.yaml') as f:
        check(f"metric: {{name: {rule['name']['as']}}}" in f.read(), 'autoscaler and rule speak of different metrics')


def check_kserve():
    found = kubernetes('kserve.yaml')
    runtime, service = found['ServingRuntime'], found['InferenceService']
    annotations_are_right(runtime['spec']['annotations'], 'prometheus.kserve.io', 'kserve.yaml')
    pod_is_right(runtime['spec'], 'kserve.yaml')
    container = runtime['spec']['containers'][0]
    check(container['name'] == 'kserve-container', 'KServe looks for a container called kserve-container')
    check(options_of(container)[''] == ['{{.Name}}=/mnt/models'], 'KServe mounts models at /mnt/models')
    model = service['spec']['predictor']['model']
    check(model['runtime'] == runtime['metadata']['name'], 'the InferenceService asks for another runtime')
    check(model['modelFormat']['name'] in [f['name'] for f in runtime['spec']['supportedModelFormats']],
          'the InferenceService has another format')
    check(model['protocolVersion'] in runtime['spec']['protocolVersions'], 'the InferenceService speaks another protocol')


def check_compose(name):
    document = load(name)[0]
    check(set(document) == {'services'}, f'{name}: odd members')
    for service, spec in document['services'].items():
        at = f'{name} {service}'
        fits(spec, SERVICE, at)
        environment_is_known(spec.get('environment', {}), at)
        check(spec['read_only'] is True and spec['cap_drop'] == ['ALL'], f'{at}: less closed than it could be')
        for mapping in spec.get('ports', []):
            check(mapping.startswith('127.0.0.1:') and mapping.endswith(':8080'), f'{at}: publishes {mapping}')
    perceptd = document['services']['perceptd']
    environment = perceptd['environment']
    check(environment['PERCEPTD_LISTEN'] == ':8080', f'{name}: a container\'s loopback is its own')
    check(perceptd['healthcheck']['test'] == ['CMD', '/perceptd', '--health'], f'{name}: health is asked in another way')
    check(seconds(perceptd['stop_grace_period']) > seconds(environment.get('PERCEPTD_DRAIN_DELAY', '0s')) + 25,
          f'{name}: killed before it has drained')


def check_haproxy():
    with open(f'{ROOT}/docker/haproxy.cfg') as f:
        config = f.read()
    check(re.search(r'httpchk GET (\S+)', config)[1] in ROUTES, 'HAProxy asks for a route that is not there')
    for used in re.findall(r'--([a-z]+-[a-z-]+)', config):
        check(used in OPTIONS, f'haproxy.cfg speaks of --{used}, which is no option')
    idle = int(re.search(r'timeout http-keep-alive (\d+)s', config)[1])
    default = re.search(r'--idle-timeout TIME.*?\[(\d+)s\]', tell('serve', '--help'), re.S)
    check(idle < int(default[1]), 'perceptd closes connections that HAProxy believes in')
    if not shutil.which('haproxy'):
        print('not run: HAProxy\'s own check of haproxy.cfg (haproxy is not installed)')
        return
    verdict = subprocess.run(['haproxy', '-c', '-f', f'{ROOT}/docker/haproxy.cfg'], capture_output=True, text=True,
                             env={**os.environ, 'PERCEPTD_REPLICAS': 'localhost:8080'})
    check(verdict.returncode == 0, f'haproxy.cfg: {verdict.stdout}{verdict.stderr}')


check_kubernetes()
check_kserve()
check_compose('compose.yaml')
check_compose('compose-replicas.yaml')
check_haproxy()
print(f'{passed} passed, {failed} failed')
sys.exit(failed > 0)
