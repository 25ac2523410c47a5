package offshoot;

import java.awt.image.RenderedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import javax.imageio.ImageIO;

/** What cells can call besides the libraries of Java. */
public final class Notebook {
	static Reports reports = Reports.nowhere();

	private Notebook() {}

	/** Shows a value in the middle of a cell, as the value of its last expression is shown at its end. */
	public static void display(Object value) {
		reports.result(formats(value), false);
	}

	static Map<String, String> formats(Object value) {
		return switch (value) {
			case RenderedImage image -> Map.of("text", String.valueOf(image), "png", png(image));
			case Object[] array -> Map.of("text", Arrays.deepToString(array));
			case null -> Map.of("text", "null");
			// A primitive array is told with its elements once it is in another array; the outer brackets go.
			default -> Map.of("text", value.getClass().isArray() ? inner(Arrays.deepToString(new Object[] {value})) : text(value));
		};
	}

	private static String text(Object value) {
		return String.valueOf(value.toString());
	}

	private static String inner(String text) {
		return text.substring(1, text.length() - 1);
	}

	private static String png(RenderedImage image) {
		var bytes = new ByteArrayOutputStream();
		try {
			ImageIO.write(image, "png", bytes);
		} catch (IOException error) {
			throw new UncheckedIOException(error);
		}
		return Base64.getEncoder().encodeToString(bytes.toByteArray());
	}
}
