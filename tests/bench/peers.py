#!/usr/bin/env python3
"""peers.py REAL DIR [TEXT]... - trained models here and in ONNX Runtime, one core each, one after the other.

REAL is the built program of tests/real, DIR its folder of models with stored cases; TEXTs pick models. Each
model's first case is timed on both sides by turns, ROUNDS times (5), on the same core and the same inputs:
what a run takes of a core, in the best stretch of 20 ms, so that a busy machine does little harm. The ratio
is that of the best rounds; beside it stands the median of the rounds' ratios, and far apart they mean that
the machine was too busy. The reference's times are without what its binding takes to run nothing; a * marks
those that are lost in it and are shown with it. Nothing may take more than twice the reference's time.

ONNX Runtime is the npm package onnxruntime-node; ORT names the folder node_modules that has it.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys

LIMIT = 2.0
HERE = os.path.dirname(os.path.abspath(__file__))


def skip(why):
    print('skipped: %s' % why)
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(1 if os.environ.get('REQUIRE_SHARED') == '1' else 0)


def one_core():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def here(real, root, label):
    out = subprocess.run([real, root], env={**os.environ, 'T': label, 'BENCH': '1'}, capture_output=True, text=True,
                         preexec_fn=one_core).stdout
    for line in out.splitlines():
        words = line.split()
        if words and words[0] == 'bench' and words[1].endswith('/' + label):
            return float(words[words.index('cpu_ms') + 1])
    sys.exit('%s says nothing of %s:\n%s' % (real, label, out))


def there(model, case):
    done = subprocess.run(['node', os.path.join(HERE, 'ort.js'), model, case, '0.5'], capture_output=True, text=True,
                          preexec_fn=one_core)
    if done.returncode:
        sys.exit('ONNX Runtime failed on %s: %s' % (model, done.stderr))
    told = json.loads(done.stdout)
    return told['ms'], told['overhead']


def first_case(folder):
    cases = sorted(os.listdir(folder)) if os.path.exists(os.path.join(folder, 'model.onnx')) else []
    return next((c for c in cases if os.path.exists(os.path.join(folder, c, 'meta.json'))), None)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    real, root, texts = sys.argv[1], sys.argv[2], sys.argv[3:]
    if not shutil.which('node'):
        skip('no node; it runs ONNX Runtime')
    if os.environ.get('ORT'):
        os.environ['NODE_PATH'] = os.environ['ORT']
    if subprocess.run(['node', '-e', 'require("onnxruntime-node")'], stderr=subprocess.DEVNULL).returncode:
        skip('no npm package onnxruntime-node in %s: npm install onnxruntime-node, then ORT=FOLDER/node_modules'
             % os.environ.get('ORT', 'sight'))
    if not os.path.isdir(root):
        skip('no models at %s' % root)
    slow = count = 0
    print('%-24s %12s %12s  %6s %14s' % ('model', 'perceptd ms', 'ORT ms', 'ratio', 'median ratio'))
    for name in sorted(os.listdir(root)):
        case = first_case(os.path.join(root, name))
        if not case or (texts and not any(t in name for t in texts)):
            continue
        ours, theirs, overheads = [], [], []
        for _ in range(int(os.environ.get('ROUNDS', '5'))):
            one, overhead = there(os.path.join(root, name, 'model.onnx'), os.path.join(root, name, case))
            theirs.append(one)
            overheads.append(overhead)
            ours.append(here(real, root, name + '/' + case))
        lost = min(theirs) < 1.5 * min(overheads)
        theirs = [one - min(overheads) * (not lost) for one in theirs]
        ratio, median = min(ours) / min(theirs), statistics.median(a / b for a, b in zip(ours, theirs))
        count += 1
        slow += min(ratio, median) > LIMIT
        print('%-24s %12.4f %12.4f%s %6.2f %14.2f'
              % (name, min(ours), min(theirs), ' *'[lost], ratio, median), flush=True)
    print('%d passed, %d failed, 0 skipped' % (count - slow, slow))
    sys.exit(slow > 0 or count == 0)


main()
