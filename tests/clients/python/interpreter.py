"""The code-interpreter client: languages, results, charts and contexts."""

import asyncio

from e2b import NotFoundException, SandboxException, TimeoutException
from forms import ASYNC, CodeSandbox, done, fails, run

EVERYTHING = """
class Everything:
    def _repr_html_(self): return "<b>"
    def _repr_markdown_(self): return "**m**"
    def _repr_svg_(self): return "<svg/>"
    def _repr_latex_(self): return "$l$"
    def _repr_javascript_(self): return "alert(1)"
    def _repr_json_(self): return {"k": [1]}
    def _repr_png_(self): return b"png"
    def _repr_jpeg_(self): return b"jpeg"
    def _repr_pdf_(self): return b"pdf"
    def __repr__(self): return "plain"
Everything()"""

CHARTS = {
    "line": "plt.plot([1, 2], [3, 4], label='up')",
    "scatter": "plt.scatter([1, 2], [3, 4], label='dots')",
    "bar": "plt.bar(['a'], [5], label='sold')",
    "pie": "plt.pie([1, 3], labels=['a', 'b'])",
    "box_and_whisker": "plt.boxplot([[1, 2, 3, 4, 5]], tick_labels=['a'])",
    "superchart": "_, a = plt.subplots(1, 2); a[0].plot([1]); a[1].bar(['x'], [1])",
}

PNG = "iVBOR"

R_AND_JAVA = {
    "r": {
        "value": ("x <- 41; x + 1", "[1] 42"),
        "output": ("cat(Sys.getenv('GLOBAL'), Sys.getenv('MINE'), paste0(x, '\\n'))", "global mine 41\n"),
        "error": ("stop('no')", "ERROR"),
        "picture": ("plot(1:3)", PNG),
        "endless": "Sys.sleep(300)",
    },
    "java": {
        "value": ("int x = 41; x + 1", "42"),
        "output": (
            'System.out.println(System.getenv("GLOBAL") + " " + System.getProperty("MINE") + " " + x);',
            "global mine 41\n",
        ),
        "error": ("int y = 1 / 0;", "java.lang.ArithmeticException"),
        "picture": ("new java.awt.image.BufferedImage(2, 2, 1)", PNG),
        "endless": "while (true) {}",
    },
}


async def languages(sandbox):
    seen = []
    execution = await done(
        sandbox.run_code(
            "import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 / 0",
            on_stdout=lambda message: seen.append(message.line),
            on_stderr=lambda message: seen.append(message.line),
            on_error=lambda error: seen.append(error.name),
        )
    )
    assert sorted(seen) == ["ZeroDivisionError", "err\n", "out\n"], seen
    assert execution.logs.stdout == ["out\n"] and execution.error.value == "division by zero", execution
    for language, code, output in (
        ("python", "import os; print(os.getcwd(), os.environ['GLOBAL'])", "/home/user global\n"),
        ("js", "console.log(process.cwd(), process.env.GLOBAL)", "/home/user global\n"),
        ("ts", "const cwd: string = process.cwd(); console.log(cwd, process.env.GLOBAL)", "/home/user global\n"),
        ("bash", "echo $PWD $GLOBAL", "/home/user global\n"),
    ):
        execution = await done(sandbox.run_code(code, language=language))
        assert "".join(execution.logs.stdout) == output, (language, execution)
    typed = "const typed: number = 2; typed"
    for language in ("ts", "js", " TypeScript"):
        assert (await done(sandbox.run_code(typed, language=language))).text == "2", language
    read = "import os; os.environ.get('GLOBAL') + os.environ.get('MINE', '-')"
    for envs, text in (({}, "global-"), ({"GLOBAL": "own", "MINE": "mine"}, "ownmine"), ({}, "global-")):
        assert (await done(sandbox.run_code(read, envs=envs))).text == text
    error = await fails(SandboxException, lambda: sandbox.run_code("1", language="cobol"))
    assert 'language "cobol"' in str(error), error

    await done(sandbox.run_code("kept = 42"))
    await fails(TimeoutException, lambda: sandbox.run_code("import time; time.sleep(300)", timeout=1.5))
    assert (await done(sandbox.run_code("kept"))).text == "42"


async def r_and_java(sandbox):
    for language, cells in R_AND_JAVA.items():
        code, text = cells["value"]
        execution = await done(sandbox.run_code(code, language=language))
        assert execution.results[0].text == text, (language, execution)
        seen = []
        code, line = cells["output"]
        await done(sandbox.run_code(code, language=language, envs={"MINE": "mine"}, on_stdout=lambda out: seen.append(out.line)))
        assert seen == [line], (language, seen)
        code, name = cells["error"]
        execution = await done(sandbox.run_code(code, language=language))
        assert execution.error.name == name and execution.error.traceback, (language, execution)
        context = await done(sandbox.create_code_context(language=language, cwd="/tmp"))
        assert (context.language, context.cwd) == (language, "/tmp"), context
        code, _ = cells["output"]
        execution = await done(sandbox.run_code(code, context=context))
        assert execution.error, (language, execution)
        await done(sandbox.remove_code_context(context.id))
        code, picture = cells["picture"]
        execution = await done(sandbox.run_code(code, language=language))
        assert execution.results[0].png.startswith(picture), (language, execution)
        await fails(TimeoutException, lambda: sandbox.run_code(cells["endless"], language=language, timeout=1.5))
        code, _ = cells["output"]
        execution = await done(sandbox.run_code(code, language=language, envs={"MINE": "again"}))
        assert execution.logs.stdout == ["global again 41\n"], (language, execution)


async def results(sandbox):
    (result,) = (await done(sandbox.run_code(EVERYTHING))).results
    found = (result.text, result.html, result.markdown, result.svg, result.latex, result.javascript, result.json)
    assert found == ("plain", "<b>", "**m**", "<svg/>", "$l$", "alert(1)", {"k": [1]}), found
    assert result.png and result.jpeg and result.pdf and result.is_main_result
    (result,) = (await done(sandbox.run_code("display({'application/x-own': 'o', 'text/plain': 't'}, raw=True)"))).results
    assert result.text == "t" and "application/x-own" in str(result.extra), result.extra
    (result,) = (await done(sandbox.run_code("import pandas as pd\npd.DataFrame({'a': [1, 2]})"))).results
    assert result.data == {"a": [1, 2]} and "<table" in result.html, result
    for kind, code in CHARTS.items():
        execution = await done(sandbox.run_code(f"import matplotlib.pyplot as plt\n{code}\nplt.show()"))
        (result,) = execution.results
        assert result.png and result.chart.type.value == kind and result.chart.elements, (kind, result)
    execution = await done(sandbox.run_code("import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()\n'value'"))
    assert [each.is_main_result for each in execution.results] == [False, True] and execution.text == "value", execution
    execution = await done(sandbox.run_code("for i in range(1500): display(i)"))
    assert [each.text for each in execution.results] == [str(index) for index in range(1500)]


async def contexts(sandbox):
    listed = await done(sandbox.list_code_contexts())
    assert [each.language for each in listed[:2]] == ["python", "javascript"], listed
    context = await done(sandbox.create_code_context(cwd="/root"))
    assert (context.language, context.cwd) == ("python", "/root"), context
    assert (await done(sandbox.list_code_contexts()))[-1].id == context.id
    assert (await done(sandbox.run_code("x = 1; x", context=context))).text == "1"
    assert (await done(sandbox.run_code("x"))).error.name == "NameError"
    await done(sandbox.restart_code_context(context))
    restarted = await done(sandbox.run_code("x", context=context))
    assert restarted.error.value == "name 'x' is not defined", restarted
    await done(sandbox.remove_code_context(context.id))
    await fails(NotFoundException, lambda: sandbox.run_code("1", context=context))
    await fails(NotFoundException, lambda: sandbox.restart_code_context(context))
    error = await fails(SandboxException, lambda: sandbox.create_code_context(language="cobol"))
    assert 'language "cobol"' in str(error), error
    typescript = await done(sandbox.create_code_context(language="typescript"))
    assert (await done(sandbox.run_code("const n: number = 2; n", context=typescript))).text == "2"


async def end_of_sandbox(sandbox):
    async def execute():
        return await fails(TimeoutException, lambda: sandbox.run_code("import time; time.sleep(300)", timeout=0))

    # The synchronous form cannot do two things at once; threads of its users can.
    running = asyncio.create_task(execute()) if ASYNC else asyncio.to_thread(asyncio.run, execute())
    if not ASYNC:
        running = asyncio.create_task(running)
    await asyncio.sleep(1)
    await done(sandbox.kill())
    error = await running
    assert "sandbox was killed" in str(error), error


async def scenario():
    sandbox = await done(CodeSandbox.create(envs={"GLOBAL": "global"}))
    try:
        await languages(sandbox)
        await r_and_java(sandbox)
        await results(sandbox)
        await contexts(sandbox)
        await end_of_sandbox(sandbox)
    finally:
        await done(sandbox.kill())


run(scenario)
