package offshoot;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Map;
import jdk.jshell.execution.LocalExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;

/** Runs snippets in this process and keeps the last value as it is; the shell itself has it only as text. */
final class Values implements ExecutionControlProvider {
	private static final Method RUN;
	private static volatile Method snippet;
	private static volatile Object value;

	static {
		try {
			RUN = Values.class.getDeclaredMethod("run");
			RUN.setAccessible(true);
		} catch (NoSuchMethodException error) {
			throw new ExceptionInInitializerError(error);
		}
	}

	@Override
	public String name() {
		return "offshoot";
	}

	@Override
	public ExecutionControl generate(ExecutionEnv environment, Map<String, String> parameters) {
		return new LocalExecutionControl() {
			@Override
			protected String invoke(Method method) throws Exception {
				snippet = method;
				value = null;
				super.invoke(RUN);
				// The text is not used, and making it runs the user's code.
				return "";
			}
		};
	}

	/** The value of the snippet that ran last; null if it has none. */
	Object last() {
		return value;
	}

	/** Called in place of the snippet's own method. */
	static void run() throws Throwable {
		try {
			value = snippet.invoke(null);
		} catch (InvocationTargetException error) {
			throw error.getCause();
		}
	}
}
