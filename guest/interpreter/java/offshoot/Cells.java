package offshoot;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import jdk.jshell.DeclarationSnippet;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;
import jdk.jshell.JShell;
import jdk.jshell.JShellException;
import jdk.jshell.Snippet;
import jdk.jshell.Snippet.Status;
import jdk.jshell.Snippet.SubKind;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;

/**
 * Runs cells in a shell that keeps what they declare. A cell is a sequence of snippets (imports, declarations, statements,
 * expressions); the first one that fails ends it, and the value of its last expression is its result.
 */
final class Cells {
	private static final List<String> IMPORTS = List.of("java.io", "java.math", "java.net", "java.nio.file", "java.util",
			"java.util.concurrent", "java.util.function", "java.util.regex", "java.util.stream");

	private final Reports reports;
	private final Values values = new Values();
	private final JShell shell;
	private volatile boolean interrupted;

	Cells(Reports reports) {
		this.reports = reports;
		shell = JShell.builder().executionEngine(values, null).build();
		shell.addToClasspath(System.getProperty("java.class.path"));
		IMPORTS.forEach(name -> shell.eval("import " + name + ".*;"));
		shell.eval("import static offshoot.Notebook.display;");
	}

	void run(String code) {
		interrupted = false;
		Snippet last = null;
		for (String rest = code; !rest.isBlank();) {
			CompletionInfo next = shell.sourceCodeAnalysis().analyzeCompletion(rest);
			// What is not complete has no source of its own: the shell says what is missing.
			String source = next.source() == null ? rest : next.source();
			for (SnippetEvent event : shell.eval(source)) {
				if (event.causeSnippet() != null) continue;
				if (interrupted) {
					reports.error("InterruptedException", "the cell was interrupted", "");
					return;
				}
				if (reportFailure(event)) return;
				last = event.snippet();
			}
			rest = next.source() == null ? "" : next.remaining();
		}
		if (isExpression(last) && values.last() != null) reports.result(Notebook.formats(values.last()), true);
	}

	/** Stops the running snippet, loops without end included. */
	void interrupt() {
		interrupted = true;
		shell.stop();
	}

	private static boolean isExpression(Snippet snippet) {
		if (snippet == null) return false;
		return snippet.kind() == Snippet.Kind.EXPRESSION || snippet.subKind() == SubKind.TEMP_VAR_EXPRESSION_SUBKIND;
	}

	private boolean reportFailure(SnippetEvent event) {
		if (event.exception() != null) {
			reportException(event.exception());
			return true;
		}
		if (event.status() != Status.REJECTED && event.status() != Status.RECOVERABLE_NOT_DEFINED) return false;
		String problems = problems(event.snippet());
		reports.error("CompilationException", problems.lines().findFirst().orElse(""), problems + "\n" + event.snippet().source());
		return true;
	}

	private String problems(Snippet snippet) {
		String diagnostics = shell.diagnostics(snippet)
				.filter(Diag::isError)
				.map(problem -> problem.getMessage(Locale.ROOT))
				.collect(Collectors.joining("\n"));
		if (!diagnostics.isEmpty() || !(snippet instanceof DeclarationSnippet declaration)) return diagnostics;
		return shell.unresolvedDependencies(declaration)
				.map(name -> name + " is not declared")
				.collect(Collectors.joining("\n"));
	}

	private void reportException(JShellException exception) {
		var traceback = new StringBuilder();
		String prefix = "";
		for (Throwable each = exception; each != null; each = each.getCause()) {
			traceback.append(prefix).append(headline(each)).append('\n');
			for (StackTraceElement frame : each.getStackTrace()) traceback.append("\tat ").append(place(frame)).append('\n');
			prefix = "Caused by: ";
		}
		reports.error(className(exception), message(exception), traceback.toString());
	}

	private static String headline(Throwable exception) {
		return exception.getMessage() == null ? className(exception) : className(exception) + ": " + exception.getMessage();
	}

	private static String className(Throwable exception) {
		return exception instanceof EvalException thrown ? thrown.getExceptionClassName() : exception.getClass().getName();
	}

	private static String message(Throwable exception) {
		return exception.getMessage() == null ? "" : exception.getMessage();
	}

	/** Places in snippets are told as the shell does: by the snippet's number and the line in it. */
	private static String place(StackTraceElement frame) {
		String file = frame.getFileName();
		if (file == null || !file.startsWith("#")) return frame.toString();
		String where = "(" + file + ":" + frame.getLineNumber() + ")";
		return frame.getMethodName().isEmpty() ? where : frame.getMethodName() + where;
	}
}
