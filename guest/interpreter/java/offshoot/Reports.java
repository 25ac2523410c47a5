package offshoot;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** What the kernel tells the interpreter: JSON, one object per line. A reader that is slow holds the user's code back. */
final class Reports {
	private static final HexFormat HEX = HexFormat.of();

	private final OutputStream stream;

	private Reports(OutputStream stream) {
		this.stream = stream;
	}

	static Reports open() {
		return new Reports(Descriptors.output(Descriptors.REPORTS));
	}

	static Reports nowhere() {
		return new Reports(OutputStream.nullOutputStream());
	}

	void ready() {
		write(Map.of("type", "ready"));
	}

	void answer(int request) {
		write(Map.of("type", "answer", "request", request));
	}

	void started(int count) {
		event(Map.of("type", "number_of_executions", "execution_count", count));
	}

	void done(int execution) {
		write(Map.of("type", "done", "execution", execution));
	}

	/** A value by its formats, such as `text` and `png`. */
	void result(Map<String, String> formats, boolean isMain) {
		var event = new LinkedHashMap<String, Object>(Map.of("type", "result", "is_main_result", isMain));
		event.putAll(formats);
		event(event);
	}

	void error(String name, String value, String traceback) {
		event(Map.of("type", "error", "name", name, "value", value, "traceback", traceback));
	}

	/** A stream whose every write is one report. */
	PrintStream output(String name) {
		return new PrintStream(new OutputStream() {
			@Override
			public void write(int value) {
				write(new byte[] {(byte) value}, 0, 1);
			}

			@Override
			public void write(byte[] bytes, int offset, int length) {
				if (length == 0) return;
				String text = new String(bytes, offset, length, StandardCharsets.UTF_8);
				event(Map.of("type", name, "text", text, "timestamp", Instant.now().toString()));
			}
		}, true, StandardCharsets.UTF_8);
	}

	private void event(Map<String, ?> event) {
		write(Map.of("type", "event", "event", event));
	}

	private synchronized void write(Map<String, ?> report) {
		try {
			stream.write((json(report) + "\n").getBytes(StandardCharsets.US_ASCII));
		} catch (IOException error) {
			throw new UncheckedIOException(error);
		}
	}

	private static String json(Object value) {
		return switch (value) {
			case Map<?, ?> map -> map.entrySet().stream()
					.map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
					.collect(Collectors.joining(",", "{", "}"));
			case String text -> quote(text);
			default -> String.valueOf(value);
		};
	}

	/** Only ASCII, with escapes for the rest. */
	private static String quote(String text) {
		var quoted = new StringBuilder("\"");
		for (char unit : text.toCharArray()) {
			if (unit == '"' || unit == '\\') quoted.append('\\').append(unit);
			else if (unit >= ' ' && unit < 127) quoted.append(unit);
			else quoted.append("\\u").append(HEX.toHexDigits(unit));
		}
		return quoted.append('"').toString();
	}
}
