#!/usr/bin/python3
"""replicas.py PERCEPTD MODELS [REQUESTS] - three replicas behind HAProxy, each in a network namespace of its own.

    make replicas                     20,000 requests; REQUESTS=2000 for a short look

Hosts are network namespaces on one bridge: a client, HAProxy with docker/haproxy.cfg (only the line that names the
replicas is another), three daemons. The client posts a picture 300 times a second over connections that stay open,
while the replicas are restarted one after the other (SIGTERM, wait, start, ready), while a version of the model is
added and the one before taken away on each in turn (SIGHUP), and then one replica is killed (SIGKILL) and started again.
What must hold: rolling restarts and updates fail no request, and a kill fails at most the requests that the killed one
had. Latencies are printed, not judged.

Needs root, iproute2 and haproxy; says that it is skipped where one is missing. The last line counts.
"""
import collections, http.client, json, os, shutil, signal, subprocess, sys, tempfile, threading, time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
RATE, CLIENTS, PORT = 300, 8, 8080


# --- the client: this program again, in its namespace -----------------------------------------------------------------

def load(address, picture, n, stop_file):
    """Posts n times, RATE a second in all; prints what became of it as JSON."""
    body = open(picture, 'rb').read()
    counts, times, failures, lock = collections.Counter(), [], [], threading.Lock()
    begin = time.monotonic() + 0.2

    def client(k):
        connection = http.client.HTTPConnection(address, PORT, timeout=20)
        for i in range(k, n, CLIENTS):
            wait = begin + i / RATE - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            start = time.monotonic()
            try:
                connection.request('POST', '/v2/models/digits/infer', body, {'Content-Type': 'image/png'})
                reply = connection.getresponse()
                text = reply.read()
                good = reply.status == 200 and json.loads(text)['predictions'][0][0]['label'] == '7'
                result = 'good' if good else f'{reply.status} {text[:100]}'
            except (OSError, http.client.HTTPException) as error:
                result = type(error).__name__
                connection.close()
            with lock:
                counts[result] += 1
                times.append(time.monotonic() - start)
                if result != 'good':
                    failures.append(round(start - begin, 3))
    threads = [threading.Thread(target=client, args=(k,)) for k in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    at = lambda q: round(times[min(len(times) - 1, int(len(times) * q))] * 1000, 1)
    print(json.dumps({'counts': counts, 'failures': failures[:20], 'p50': at(.5), 'p99': at(.99), 'most': at(1)}))


if sys.argv[1] == '--load':
    load(sys.argv[2], sys.argv[3], int(sys.argv[4]), None)
    sys.exit(0)

PROGRAM, MODELS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
REQUESTS = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
PICTURE = f'{ROOT}/tests/http/seven.png'
passed, failed = 0, 0


def skip(why):
    print(f'skipped: replicas behind HAProxy ({why})')
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)


def check(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f'failed: {what}')


for tool in ('ip', 'haproxy', 'curl'):
    if not shutil.which(tool):
        skip(f'{tool} is not installed')
if os.geteuid() != 0:
    skip('namespaces need root')

# --- the hosts --------------------------------------------------------------------------------------------------------

NAME = f'pd{os.getpid()}'
HOSTS = {'balancer': '10.78.0.1', 'client': '10.78.0.2', 'one': '10.78.0.3', 'two': '10.78.0.4', 'three': '10.78.0.5'}
REPLICAS = ('one', 'two', 'three')
folder = tempfile.mkdtemp(prefix='perceptd-replicas-')
running = {}


def ip(*arguments):
    return subprocess.run(['ip', *arguments], capture_output=True, text=True)


def make_hosts():
    if ip('netns', 'add', f'{NAME}switch').returncode != 0:
        skip('the kernel gives us no network namespace')
    for arguments in (('link', 'add', 'bridge', 'type', 'bridge'), ('link', 'set', 'bridge', 'up')):
        if ip('-n', f'{NAME}switch', *arguments).returncode != 0:
            remove_hosts()
            skip('the kernel has no bridge')
    for host, address in HOSTS.items():
        own = f'{NAME}{host}'
        ip('netns', 'add', own)
        ip('-n', own, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', f'to-{host}', 'netns', f'{NAME}switch')
        ip('-n', f'{NAME}switch', 'link', 'set', f'to-{host}', 'master', 'bridge', 'up')
        ip('-n', own, 'addr', 'add', f'{address}/24', 'dev', 'eth0')
        ip('-n', own, 'link', 'set', 'eth0', 'up')
        ip('-n', own, 'link', 'set', 'lo', 'up')


def remove_hosts():
    for process in running.values():
        process.kill()
        process.wait()
    for host in (*HOSTS, 'switch'):
        ip('netns', 'del', f'{NAME}{host}')
    shutil.rmtree(folder, ignore_errors=True)


def start(host, *command, log=None):
    with open(f'{folder}/{log or host}.log', 'a') as out:
        running[host] = subprocess.Popen(['ip', 'netns', 'exec', f'{NAME}{host}', *command], stdout=out, stderr=out)
    return running[host]


def start_replica(host):
    start(host, PROGRAM, 'serve', f'{folder}/{host}', '--listen', f':{PORT}', '--drain-delay', '1s', '--workers', '1',
          '--region-prefix', NAME)


def put_version(host, version):
    """Whole or not at all: a reload may look at any time."""
    target = f'{folder}/{host}/digits/{version}'
    shutil.copytree(f'{MODELS}/digits', f'{folder}/{host}.part')
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(f'{folder}/{host}.part', target)


def versions_of(host):
    answer = subprocess.run(['ip', 'netns', 'exec', f'{NAME}client', 'curl', '-s', '--max-time', '5',
                             f'http://{HOSTS[host]}:{PORT}/v2/models/digits'], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)['versions']
    except (ValueError, KeyError):
        return []


def is_ready(host):
    probe = subprocess.run(['ip', 'netns', 'exec', f'{NAME}{host}', PROGRAM, '--health', '--listen', f'127.0.0.1:{PORT}'],
                           capture_output=True)
    return probe.returncode == 0


def wait_ready(host):
    for _ in range(600):
        if is_ready(host):
            time.sleep(1)  # HAProxy looks twice, 200 ms apart
            return True
        time.sleep(0.05)
    return False


def start_balancer():
    with open(f'{ROOT}/docker/haproxy.cfg') as f:
        lines = f.read().splitlines()
    named = [i for i, line in enumerate(lines) if line.strip().startswith('server-template')]
    check(len(named) == 1, 'haproxy.cfg names its replicas in one line')
    lines[named[0]:named[0] + 1] = [f'    server {host} {HOSTS[host]}:{PORT}' for host in REPLICAS]
    with open(f'{folder}/haproxy.cfg', 'w') as f:
        f.write('\n'.join(lines) + '\n')
    start('balancer', 'haproxy', '-db', '-f', f'{folder}/haproxy.cfg')


def run_load(n):
    return subprocess.Popen(['ip', 'netns', 'exec', f'{NAME}client', sys.executable, __file__, '--load',
                             HOSTS['balancer'], PICTURE, str(n)], stdout=subprocess.PIPE, text=True)


def ended(name, client, allowed):
    result = json.loads(client.communicate()[0])
    counts = result['counts']
    bad = sum(n for key, n in counts.items() if key != 'good')
    print(f"{name:16} {sum(counts.values()):6} requests, {bad} failed, p50 {result['p50']} ms, p99 {result['p99']} ms, "
          f"most {result['most']} ms {'' if not bad else dict(counts)} {result['failures']}", flush=True)
    check(bad <= allowed, f'{name}: {bad} failed, {allowed} may')


def rolling_restart():
    client = run_load(REQUESTS)
    begin, rounds = time.monotonic(), 0
    while rounds == 0 or time.monotonic() - begin < REQUESTS / RATE - 12:
        for host in REPLICAS:
            old = running[host]
            old.send_signal(signal.SIGTERM)
            check(old.wait() == 0, f'{host} ends with status {old.returncode} at SIGTERM')
            start_replica(host)
            check(wait_ready(host), f'{host} is ready again')
        rounds += 1
    ended(f'{3 * rounds} restarts', client, 0)


def reload_until(host, versions):
    running[host].send_signal(signal.SIGHUP)
    for _ in range(300):
        if versions_of(host) == versions:
            return True
        time.sleep(0.05)
    return False


def rolling_update():
    client = run_load(REQUESTS // 2)
    begin, newest = time.monotonic(), 1
    while newest == 1 or time.monotonic() - begin < REQUESTS / 2 / RATE - 8:
        newest += 1
        for host in REPLICAS:
            put_version(host, newest)
            check(reload_until(host, [str(newest - 1), str(newest)]), f'{host} serves version {newest} too')
            shutil.rmtree(f'{folder}/{host}/digits/{newest - 1}')
            check(reload_until(host, [str(newest)]), f'{host} serves version {newest} alone')
    ended(f'{3 * newest - 3} updates', client, 0)


def kill_one():
    client = run_load(1500)
    time.sleep(2)
    running['two'].kill()
    running['two'].wait()
    start_replica('two')
    check(wait_ready('two'), 'two is ready again')
    ended('SIGKILL', client, CLIENTS)


make_hosts()
try:
    for host in REPLICAS:
        put_version(host, 1)
        start_replica(host)
    for host in REPLICAS:
        check(wait_ready(host), f'{host} is ready')
    start_balancer()
    time.sleep(2)
    ended('steady', (run_load(900)), 0)
    rolling_restart()
    rolling_update()
    kill_one()
    for host in REPLICAS:
        running[host].send_signal(signal.SIGTERM)
        check(running[host].wait() == 0, f'{host} ends well')
finally:
    remove_hosts()
print(f'{passed} passed, {failed} failed')
sys.exit(failed > 0)
