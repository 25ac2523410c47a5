package offshoot;

import java.util.Map;

/**
 * Variables of the sandbox and of one run. Java takes its environment for constant; here it changes for `System.getenv` and
 * `ProcessBuilder.environment`, and, as cells written for other Java kernels expect it, as properties of the system. The
 * process's own copy, which a program gets whose `ProcessBuilder` was not asked for its environment, is out of reach.
 */
final class Environment {
	/** In place of a value: the variable goes. */
	static final String REMOVED = new String("removed");

	private static final Map<String, String> VARIABLES = variables();

	private Environment() {}

	static void change(Map<String, String> changes) {
		changes.forEach((name, value) -> {
			try {
				change(name, value);
			} catch (IllegalArgumentException error) {
				// A name that Java does not take, such as an empty one, is not worth the kernel.
			}
		});
	}

	private static void change(String name, String value) {
		if (value == REMOVED) {
			VARIABLES.remove(name);
			System.clearProperty(name);
		} else {
			VARIABLES.put(name, value);
			System.setProperty(name, value);
		}
	}

	/** The map behind the one that `System.getenv` hands out. */
	@SuppressWarnings("unchecked")
	private static Map<String, String> variables() {
		try {
			var shown = System.getenv();
			var field = shown.getClass().getDeclaredField("m");
			field.setAccessible(true);
			return (Map<String, String>) field.get(shown);
		} catch (ReflectiveOperationException error) {
			throw new IllegalStateException(error);
		}
	}
}
