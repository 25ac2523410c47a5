package offshoot;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;

/** The descriptors that lead to the interpreter. Unlike the first three, programs that cells start do not get them. */
final class Descriptors {
	static final int COMMANDS = 3;
	static final int REPORTS = 4;

	private Descriptors() {}

	static FileInputStream input(int number) {
		return new FileInputStream(descriptor(number));
	}

	static FileOutputStream output(int number) {
		return new FileOutputStream(descriptor(number));
	}

	/** They are sockets, which cannot be opened by their names below /proc. */
	private static FileDescriptor descriptor(int number) {
		try {
			var constructor = FileDescriptor.class.getDeclaredConstructor(int.class);
			constructor.setAccessible(true);
			return constructor.newInstance(number);
		} catch (ReflectiveOperationException error) {
			throw new IllegalStateException(error);
		}
	}
}
