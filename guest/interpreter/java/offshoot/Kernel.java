package offshoot;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import sun.misc.Signal;

/**
 * The process of a Java kernel. It reads commands, one per line, words separated by spaces and percent-encoded, and
 * reports what they do. Cells run on a thread of their own, so that it hears of interrupts and seeds meanwhile.
 */
public final class Kernel {
	private final Reports reports = Reports.open();
	private final ExecutorService cellThread = Executors.newSingleThreadExecutor();
	private final Cells cells;
	private int count;
	private volatile int running;

	private Kernel() {
		System.setOut(reports.output("stdout"));
		System.setErr(reports.output("stderr"));
		Notebook.reports = reports;
		cells = new Cells(reports);
	}

	/** Serves until the interpreter closes its end. With the argument `--train` it runs one cell and ends. */
	public static void main(String[] arguments) {
		if (List.of(arguments).contains("--train")) {
			new Cells(Reports.nowhere()).run("int trained = 41; System.getenv().size() + trained");
			System.exit(0);
		}
		// An interrupt is meant for the programs that a cell started; the cell itself is interrupted by command.
		Signal.handle(new Signal("INT"), signal -> {});
		try {
			new Kernel().serve();
			System.exit(0);
		} catch (Throwable error) {
			// Without this thread nobody hears the interpreter any more, and the cells' thread would keep the process.
			error.printStackTrace(new PrintStream(new FileOutputStream(FileDescriptor.err), true));
			System.exit(1);
		}
	}

	private void serve() throws IOException {
		var stream = Descriptors.input(Descriptors.COMMANDS);
		var commands = new BufferedReader(new InputStreamReader(stream, StandardCharsets.US_ASCII));
		reports.ready();
		for (String line = commands.readLine(); line != null; line = commands.readLine()) obey(line.split(" ", -1));
	}

	private void obey(String[] words) {
		int number = Integer.parseInt(words[1]);
		switch (words[0]) {
			case "execute" -> cellThread.execute(() -> execute(number, decode(words[2])));
			case "interrupt" -> interrupt(number);
			case "environment" -> {
				Environment.change(changes(words));
				reports.answer(number);
			}
			case "reseed" -> {
				Randomness.reseed(words[2]);
				reports.answer(number);
			}
			default -> throw new IllegalArgumentException(words[0]);
		}
	}

	private void execute(int execution, String code) {
		count += 1;
		reports.started(count);
		running = execution;
		try {
			cells.run(code);
		} catch (RuntimeException | Error error) {
			// The shell itself failed; a snippet that it never finishes is not worth the kernel.
			reports.error(error.getClass().getName(), String.valueOf(error.getMessage()), error.toString());
		} finally {
			running = 0;
			reports.done(execution);
		}
	}

	private void interrupt(int execution) {
		if (running == execution) cells.interrupt();
	}

	/** Of words such as `NAME=value` (to set) and `NAME` (to remove); the value of the latter is absent. */
	private static Map<String, String> changes(String[] words) {
		return Stream.of(words).skip(2).map(word -> word.split("=", 2)).collect(Collectors.toMap(
				parts -> decode(parts[0]), parts -> parts.length == 2 ? decode(parts[1]) : Environment.REMOVED));
	}

	private static String decode(String word) {
		return URLDecoder.decode(word, StandardCharsets.UTF_8);
	}
}
