#!/usr/bin/env python3
"""mutants.py - does a test notice when a line of src/FOLDER is wrong?

    make mutants T=serve N=50 SEED=1
    make mutants T=serve AGAIN=FILE         those that FILE names, as they were printed: are they noticed now?
    python3 tests/mutants/mutants.py BUILD "test-FOLDER OTHER..." "VARIABLES OF make" N SEED [FILE]

Draws N places of src/FOLDER at random (SEED tells which), damages one at a time, builds what that touches and
runs the tests: first the suite that mirrors the file, then the whole folder's, for op and engine the conformance
tests too. A mutant that no test notices is a survivor and is printed with its file and line. Which damage there is:

    relation     < for <=, == for != and so on            constant    a number one larger; true for false
    arithmetic   + for -, * for /, += for -=, ++ for --   dropped     a statement that is a call or an assignment
    logic        && for ||, a condition turned round      shifted     >> for <<, & for |

Not drawn is what no input can show, whatever the code around it: a greater or lesser of two that takes the other where
they are equal (`a < b ? a : b`, `if (a < b) a = b`), a difference of equals for 0, an order of what is not equal, an
array or a piece of memory with room for one more, a descriptor compared with 1 (0 to 2 are open) or another than -1 for none, the number of
bytes in the sentence that memory is short, how many elements a member of a team takes at a time, and how much is done
until somebody looks whether the run is still wanted. Nor what stands between #if and #endif for another processor than
this machine's, which is not compiled here.

One that does not compile is drawn again. One that runs ten times as long as the undamaged tests (or ten seconds,
if that is more) counts as noticed. Survivors meet the suite that mirrors their file once more under AddressSanitizer
and UndefinedBehaviorSanitizer (kernels excepted), for some damage is a byte past an end. `equivalent` beside this file lists mutants that no input can show, each with
the reason; these are counted apart.

Works on copies of the tree under a temporary folder, one for each processor, made from BUILD (its own flavour:
the Makefile builds it before). Python's standard library alone.
"""
import concurrent.futures, os, pathlib, platform, random, re, shutil, signal, subprocess, sys, tempfile, threading, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SANITIZED = "build/mutants-asan"
# Operators with bodies, which only the engine can run.
ELSEWHERE = {"src/op/control.c": "engine/control", "src/op/sequence.c": "engine/control"}

SWAPS = {
    "relation": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    "arithmetic": {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "+=": "-=", "-=": "+=", "*=": "/=",
                   "++": "--", "--": "++"},
    "logic": {"&&": "||", "||": "&&"},
    "shifted": {"<<": ">>", ">>": "<<", "&": "|", "|": "&", "|=": "&=", "&=": "|="},
}
PICKED = {mark for table in SWAPS.values() for mark in table}
TOKEN = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\s+)
      |(?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d+\.?\d*(?:[eE][-+]?\d+)?[uUlLfF]*)
      |(?P<word>[A-Za-z_]\w*)
      |(?P<mark><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|/=|%=|&=|\|=|\^=|.)""",
    re.X | re.S | re.M)
STATEMENT = re.compile(r"^[ \t]+(?!return\b|break\b|continue\b|goto\b|case\b|default\b|else\b|do\b|typedef\b)"
                       r"(?:\*?[A-Za-z_][\w.\[\]>()*+ -]*?(?:[-+*/|&]?=(?!=)[^;{}]*|\([^;{}]*\))|[\w.>\[\]-]+(?:\+\+|--))"
                       r";[ \t]*(?:/\*.*\*/)?$", re.M)
DECLARED = re.compile(r"^[ \t]+(?:const |static |struct |enum |union |unsigned |volatile )*"
                      r"(?:[A-Za-z_]\w*(?:[ \t]+\**|[ \t]*\*+))[A-Za-z_]\w*(?:\[[^]]*\])?[ \t]*(?:=|;|,)")


FUNCTION = re.compile(r"^(?!static const |const )[a-zA-Z_][^\n;={}]*?(\w+)\((?:[^;={}]*)\)\n\{", re.M)


class Mutant:
    def __init__(self, path, start, end, text, kind, source):
        self.path, self.start, self.end, self.text, self.kind = path, start, end, text, kind
        self.line = source.count("\n", 0, start) + 1
        self.function = (FUNCTION.findall(source, 0, start) or [""])[-1]
        at = source.rfind("\n", 0, start) + 1
        stop = source.find("\n", end)
        stop = len(source) if stop < 0 else stop
        self.before = " ".join(source[at:stop].split())
        self.after = " ".join((source[at:start] + text + source[end:stop]).split()) or "(nothing)"

    def keys(self):
        """As `equivalent` may name it: by its file, or by file and function where a line occurs often."""
        return {f"{self.path} | {self.before} | {self.after}", f"{self.path} {self.function} | {self.before} | {self.after}"}


def bodies(source):
    """Spans of function bodies: what stands in braces that open a line, at depth 0."""
    depth, begun = 0, 0
    for m in TOKEN.finditer(source):
        if m.lastgroup != "mark":
            continue
        if m.group() == "{":
            if depth == 0:
                begun = m.start() if source[source.rfind("\n", 0, m.start()) + 1:m.start()].strip() == "" else -1
            depth += 1
        elif m.group() == "}":
            depth -= 1
            if depth == 0 and begun >= 0:
                yield begun, m.end()


def tokens_of(source, start, end):
    before = None
    for m in TOKEN.finditer(source, start, end):
        if m.lastgroup != "skip":
            yield m, before
            before = m


def binary(before):
    """Is the mark behind this token between two operands?"""
    return before is not None and (before.lastgroup in ("number", "word") or before.group() in (")", "]")) and \
        before.group() not in ("return", "case", "sizeof")


def pointer(source, m, before):
    """`char *p`, `(char *)`: a star that multiplies nothing."""
    return m.group() in "*&" and (source[m.end():m.end() + 1] not in (" ", "\n") or
                                  source[m.start() - 1:m.start()] not in (" ", "\n"))


def line_around(source, m):
    """The line of a token, before it and behind it."""
    begin, stop = source.rfind("\n", 0, m.start()) + 1, source.find("\n", m.end())
    return source[begin:m.start()], source[m.end():stop]


ROOM = re.compile(r"^[ \t]*(?:(?:static|const|struct|enum|unsigned)[ \t]+)*[A-Za-z_]\w*[ \t*]+(?:\w+(?:\[[^]]*\])*"
                  r"(?:[ \t]*=[^,;]*)?,[ \t]*\**)*\w+(?:\[[^]]*\])*\[(?:\w+ [+*] )?$")
NO_DESCRIPTOR = re.compile(r"(?:^[ \t]*int |[ \t.>])fd = (?:[^;]* [?:] )?-$")


def chooses_equals(before, behind):
    """`a < b ? a : b` and its like: equal ones are the same."""
    choice = re.match(r" (.+?) \? (.+?) : (?:\(\w+\))?(.+?)[;,)]", behind)
    if not choice:
        return False
    right, yes, no = choice.groups()
    left, before = no if yes == right else yes if no == right else None, before.rstrip()
    if left is None:  # a - b, or 0
        return no == "0" and yes.endswith(f" - {right}") and before.endswith(yes[:-len(right) - 3])
    if left == no:  # a < least ? least : a > most ? most : a
        left = left.split(" ")[0]
    return re.search(rf"(?<![\w.>\])-]){re.escape(left)}$", before) is not None


def sets_equals(before, behind):
    """`if (a < b)` and, in the next line, `a = b;`."""
    compared = re.match(r"^[ \t]*(?:else )?if \((\S+) $", before)
    then = re.match(r" (\S+)\)\n[ \t]*(\S+) = (\S+);\n", behind)
    return bool(compared and then) and {compared.group(1), then.group(1)} == {then.group(2), then.group(3)}


def orders_others(before, behind):
    """The order in `a != b ? a < b : ...`."""
    known = re.search(r"(\S+) != (\S+) \? (\S+) $", before)
    return known is not None and known.group(3) == known.group(1) and behind.startswith(f" {known.group(2)} :")


def argument_of(function, source, start, m):
    """Which argument of a call of this function a token stands in; -1: none."""
    opened = source.rfind(function + "(", start, m.start())
    if opened < 0 or closing(source, opened + len(function), len(source)) <= m.start():
        return -1
    depth, argument = 0, 0
    for token, _ in tokens_of(source, opened + len(function), m.start()):
        depth += (token.group() in "([{") - (token.group() in ")]}")
        argument += token.group() == "," and depth == 1
    return argument


TAKES_MEMORY = ("arena_array", "arena_alloc", "arena_buffer", "arena_buffer_array", "store_reserve")


def takes_more(source, start, m):
    """A number that makes what is asked of an arena larger."""
    return m.lastgroup == "number" and source[start:m.start()].endswith(("+ ", "* ")) and \
        any(argument_of(function, source, start, m) >= 0 for function in TAKES_MEMORY)


def tells_effort(source, start, m):
    """The bytes in the sentence that memory is short, what a member takes at a time, what is done until somebody looks
    whether it is still wanted."""
    if argument_of("err_memory", source, start, m) >= 0 or argument_of("team_split", source, start, m) == 2:
        return True
    return m.lastgroup == "number" and (argument_of("_spend", source, start, m) == 1 or
                                        re.search(r"% OP_BLOCK == $", source[start:m.start()]) is not None)


def shows_nothing(source, start, m):
    if tells_effort(source, start, m) or takes_more(source, start, m):
        return True
    before, behind = line_around(source, m)
    if m.lastgroup == "number":
        return bool(ROOM.match(before) or re.search(r"\bfd < $", before) or NO_DESCRIPTOR.search(before))
    two_lines = source[m.end():m.end() + 400]
    return m.group() in ("<", "<=", ">", ">=") and (chooses_equals(before, behind) or sets_equals(before, two_lines) or
                                                    orders_others(before, behind))


def swaps(path, source, start, end):
    for m, before in tokens_of(source, start, end):
        text = m.group()
        if (m.lastgroup == "number" or text in PICKED) and shows_nothing(source, start, m):
            continue
        if m.lastgroup == "mark":
            for kind, table in SWAPS.items():
                if text in table and (text in ("++", "--") or binary(before) and not pointer(source, m, before)):
                    yield Mutant(path, m.start(), m.end(), table[text], kind, source)
        elif m.lastgroup == "number" and re.fullmatch(r"\d+[uUlL]*", text):
            value = re.match(r"\d+", text).group()
            yield Mutant(path, m.start(), m.end(), str(int(value) + 1) + text[len(value):], "constant", source)
        elif text in ("true", "false"):
            yield Mutant(path, m.start(), m.end(), "false" if text == "true" else "true", "constant", source)
        elif text in ("if", "while"):
            open_at = source.find("(", m.end())
            close = closing(source, open_at, end)
            yield Mutant(path, open_at, close, "(!" + source[open_at:close] + ")", "logic", source)


def closing(source, open_at, end):
    """Behind the parenthesis that closes the one at open_at."""
    depth = 0
    for m, _ in tokens_of(source, open_at, end):
        depth += (m.group() == "(") - (m.group() == ")")
        if depth == 0:
            return m.end()
    return end


def statements(path, source, start, end):
    for m in STATEMENT.finditer(source, start, end):
        text = m.group().lstrip()
        if not DECLARED.match(m.group()) and not text.startswith(("va_", "(void)", "assert")):
            yield Mutant(path, m.end() - len(text), m.end(), ";", "dropped", source)


OTHER = "__aarch64__" if platform.machine() == "x86_64" else "__x86_64__"
FOR_OTHER = re.compile(rf"#(?:(?:el)?if defined\({OTHER}\)|ifdef {OTHER})")


def is_other(source, start):
    """Is this for another processor?"""
    directives = re.findall(r"^#(?:if|elif|else|endif)[^\n]*", source[:start], re.M)
    return bool(directives) and FOR_OTHER.fullmatch(directives[-1]) is not None


def candidates(folder):
    found = []
    for path in sorted((ROOT / "src" / folder).glob("*.[ch]")):
        source = path.read_text()
        name = str(path.relative_to(ROOT))
        for start, end in bodies(source):
            found += swaps(name, source, start, end)
            found += statements(name, source, start, end)
        found = [mutant for mutant in found if mutant.path != name or not is_other(source, mutant.start)]
    return found


def listed():
    file = HERE / "equivalent"
    lines = file.read_text().splitlines() if file.exists() else []
    return [" ".join(line.split()) for line in lines if line and line[0] != "#"]


def is_listed(mutant, lines):
    """By how a line begins, as a bar may be C's own."""
    return any(line.startswith(f"{key} | ") for key in mutant.keys() for line in lines)


def suite_of(mutant):
    """The suite that mirrors the mutant's file, or None."""
    name = mutant.path[len("src/"):].rsplit(".", 1)[0]
    return name if (ROOT / "tests" / f"{name}.c").exists() else None


def kill_session(leader):
    """What a command started, too: check gives each of its tests a process group of its own."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, session = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(pid, signal.SIGKILL)
        except OSError:  # it has ended
            pass


class Copy:
    """A copy of the tree that one thread damages and mends."""

    def __init__(self, work, number, build, folder, command):
        self.root = work / f"{'s' if build == SANITIZED else 'p'}{number}"  # short: paths of sockets have an end
        self.build, self.folder, self.command = build, folder, command
        self.root.mkdir()
        for name in ("Makefile", "src", "include", "tests", build):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", str(ROOT / name), str(target)], check=True)
        for path in ROOT.iterdir():
            if not (self.root / path.name).exists() and path.name not in (".git", "build"):
                (self.root / path.name).symlink_to(path)
        shared = os.environ.get("PERCEPTD_SHARED", str(ROOT.parent / "shared"))
        self.env = dict(os.environ, PERCEPTD_BINARY=f"{build}/perceptd", PERCEPTD_SHARED=str(pathlib.Path(shared).absolute()),
                        CONFORMANCE_QUIET="1", CK_DEFAULT_TIMEOUT=os.environ.get("CK_DEFAULT_TIMEOUT", "120" if build == SANITIZED else "30"),
                        PERCEPTD_REGION_PREFIX=f"mutant{os.getpid()}-{number}", TMPDIR=str(self.root / "t"))
        for name in ("T", "N", "SEED", "AGAIN", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS"):  # our own make's, not the tests'
            self.env.pop(name, None)
        (self.root / "t").mkdir()

    def run(self, command, seconds, **env):
        """The command's status; None when it took too long."""
        p = subprocess.Popen(command, cwd=self.root, env=dict(self.env, **env), start_new_session=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            return p.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            kill_session(p.pid)
            p.wait()

    def make(self, *more):
        return self.run([*self.command, *more], 600) == 0

    def tests(self, suite):
        """(command, environment) of each, quickest first."""
        program = f"{self.build}/test-{self.folder}"
        if suite:
            yield [program], {"CK_RUN_SUITE": suite}
        if suite and self.build == SANITIZED:
            return
        yield [program], {}
        if self.folder in ("op", "engine") and self.build != SANITIZED:
            yield ["tests/conformance/conformance.sh", self.build], {}

    def clean_suites(self, suites):
        """The same for these suites alone."""
        each = {}
        for suite in suites:
            start = time.monotonic()
            if self.run([f"{self.build}/test-{self.folder}"], 1200, CK_RUN_SUITE=suite) != 0:
                sys.exit(f"mutants: the undamaged suite fails: {self.build}, {suite}")
            each[suite] = time.monotonic() - start
        return [600], each

    def clean_seconds(self):
        """What the undamaged tests take, and each suite of them by its name."""
        took, log = [], self.root / "t" / "durations"
        for command, env in self.tests(None):
            start = time.monotonic()
            if self.run(command, 1200, **env, CK_XML_LOG_FILE_NAME=str(log)) != 0:
                sys.exit(f"mutants: the undamaged tests of {self.folder} fail: {self.build}, {' '.join(command)}")
            took.append(time.monotonic() - start)
        each = {}
        for file, duration in re.findall(r"<fn>([^<]*)\.c:\d+</fn>.*?<duration>([^<]*)<", log.read_text(), re.S):
            suite = f"{self.folder}/{file}"
            each[suite] = each.get(suite, 0) + max(float(duration), 0)
        return took, each

    def noticed(self, mutant, seconds):
        whole, each = seconds
        path = self.root / mutant.path
        source = path.read_text()
        path.write_text(source[:mutant.start] + mutant.text + source[mutant.end:])
        try:
            if not self.make():
                return "does not compile"
            suite = suite_of(mutant)
            limits = ([each.get(suite, whole[0])] if suite else []) + whole
            for (command, env), limit in zip(self.tests(suite), limits):
                if self.run(command, max(10 * limit, 10), **env) != 0:
                    return "noticed"
            elsewhere = ELSEWHERE.get(mutant.path) if self.build != SANITIZED else None
            if elsewhere:
                program = f"{self.build}/test-{elsewhere.split('/')[0]}"
                if self.make(program) and self.run([program], 600, CK_RUN_SUITE=elsewhere) != 0:
                    return "noticed"
            return "survived"
        finally:
            path.write_text(source)


def work_off(copies, drawn, n, report, suites=None):
    """Each copy takes the next mutant until n have compiled. With suites, only these are asked."""
    lock, taken, counted = threading.Lock(), [0], [0]
    for copy in copies:
        if not copy.make():
            sys.exit("mutants: the undamaged tree does not build")
    seconds = copies[0].clean_suites(suites) if suites else copies[0].clean_seconds()

    def worker(copy):
        while True:
            with lock:
                if counted[0] >= n or taken[0] >= len(drawn):
                    return
                mutant = drawn[taken[0]]
                taken[0] += 1
                counted[0] += 1
            outcome = copy.noticed(mutant, seconds)
            with lock:
                counted[0] -= outcome == "does not compile"
                report(mutant, outcome)

    with concurrent.futures.ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(worker, copies))


def copies_of(work, build, folder, command):
    return [Copy(work, i, build, folder, command) for i in range(int(os.environ.get("JOBS", os.cpu_count())))]


def under_sanitizers(work, folder, survivors):
    """Those of the survivors that their suite notices there: what lies past an end, or a shift too far."""
    noticed, command = [], ["make", "-s", f"T={folder}", "mutants-sanitized"]
    asked = [mutant for mutant in survivors if suite_of(mutant)]
    if folder == "kernel" or not asked:
        return noticed
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        sys.exit("mutants: the undamaged tree does not build with sanitizers")
    work_off(copies_of(work, SANITIZED, folder, command), asked, len(asked),
             lambda mutant, outcome: noticed.append(mutant) if outcome == "noticed" else None,
             sorted({suite_of(mutant) for mutant in asked}))
    return noticed


def printed(mutant):
    return f"{mutant.path}:{mutant.line}: {mutant.kind}: {mutant.before}  ->  {mutant.after}"


def nearest(drawn, lines):
    """Of each printed line the mutant that reads so; where several do, the one nearest to where it was."""
    alike, found = {}, []
    for mutant in drawn:
        alike.setdefault(re.sub(r":\d+:", ":", printed(mutant), count=1), []).append(mutant)
    for line in lines:
        at = re.search(r":(\d+):", line)
        some = alike.get(re.sub(r":\d+:", ":", line.strip(), count=1)) if at else None
        if some:
            found.append(min(some, key=lambda mutant: abs(mutant.line - int(at.group(1)))))
    return list(dict.fromkeys(found))


def drawn_of(folder, seed, file):
    """The mutants in the order in which they are tried; with a file, those that it names, whatever their lines now."""
    drawn = candidates(folder)
    random.Random(seed).shuffle(drawn)
    return nearest(drawn, pathlib.Path(file).read_text().splitlines()) if file else drawn


def main():
    build, goals, variables = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
    n, seed = int(sys.argv[4]), int(sys.argv[5])
    folder = goals[0][len("test-"):]
    drawn, known = drawn_of(folder, seed, sys.argv[6] if len(sys.argv) > 6 else None), listed()
    counts, survivors = {"noticed": 0, "survived": 0, "listed": 0, "does not compile": 0}, []

    def report(mutant, outcome):
        if outcome == "survived" and is_listed(mutant, known):
            outcome = "listed"
        counts[outcome] += 1
        if outcome == "survived":
            survivors.append(mutant)
            print(printed(mutant), flush=True)

    command = ["make", "-s", f"B={build}", "WERROR=", *variables, *(f"{build}/{goal}" for goal in goals)]
    work = pathlib.Path(tempfile.mkdtemp(prefix="m-"))
    work.chmod(0o755)  # some tests give up root's rights and still read what they wrote
    try:
        copies = copies_of(work, build, folder, command)
        work_off(copies, drawn, n, report)
        for copy in copies:
            shutil.rmtree(copy.root, ignore_errors=True)
        sanitized = under_sanitizers(work, folder, survivors)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for mutant in sanitized:
        print(f"but the sanitizers notice {printed(mutant)}")
    tried = counts["noticed"] + counts["survived"] + counts["listed"]
    print(f"src/{folder}: {len(drawn)} places, {tried} mutants, seed {seed}: {counts['noticed']} noticed, "
          f"{len(sanitized)} by sanitizers alone, {counts['survived'] - len(sanitized)} survived, "
          f"{counts['listed']} listed as equivalent, {counts['does not compile']} did not compile")
    sys.exit(len(survivors) > len(sanitized))


if __name__ == "__main__":
    main()
