package replay;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** For each line (an expression and texts, separated by tabs): which texts it matches as a whole, or `!` if it is none. */
public final class Patterns {
    public static void run(String from, String to) throws Exception {
        try (PrintWriter out = new PrintWriter(to, "UTF-8")) {
            for (String line : Files.readAllLines(Paths.get(from))) {
                String[] parts = line.split("\t", -1);
                StringBuilder answer = new StringBuilder();
                try {
                    Pattern pattern = Pattern.compile(parts[0]);
                    for (int i = 1; i < parts.length; i++) {
                        answer.append(pattern.matcher(parts[i]).matches() ? '1' : '0');
                    }
                } catch (PatternSyntaxException e) {
                    answer.append('!');
                }
                out.print(answer + "\n");
            }
        }
    }
}
