package offshoot;

import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;

/** New seeds for a restored kernel, whose generators are in the same state in every clone of one snapshot. */
final class Randomness {
	private Randomness() {}

	/** Seeds `Math.random`, and what `ThreadLocalRandom` and `new Random()` start from, with 32 bytes in hex. */
	static void reseed(String hex) {
		var seed = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
		try {
			var holder = Class.forName("java.lang.Math$RandomNumberGeneratorHolder");
			((Random) hidden(holder, "randomNumberGenerator")).setSeed(seed.getLong());
			// Each cell has a thread of its own, which takes its seed from here.
			((AtomicLong) hidden(ThreadLocalRandom.class, "seeder")).set(seed.getLong());
			// An odd number stays one whatever it is multiplied with, and never becomes 0.
			((AtomicLong) hidden(Random.class, "seedUniquifier")).set(seed.getLong() | 1);
		} catch (ReflectiveOperationException error) {
			throw new IllegalStateException(error);
		}
	}

	private static Object hidden(Class<?> owner, String name) throws ReflectiveOperationException {
		var field = owner.getDeclaredField(name);
		field.setAccessible(true);
		return field.get(null);
	}
}
