package replay;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.springframework.util.AntPathMatcher;

/** For each line (an expression or a pattern of paths, and texts, separated by tabs): which texts it matches as a whole, or `!` if it is none. */
public final class Patterns {
    public static void run(String from, String to) throws Exception {
        AntPathMatcher paths = from.endsWith("paths.txt") ? new AntPathMatcher() : null;
        try (PrintWriter out = new PrintWriter(to, "UTF-8")) {
            for (String line : Files.readAllLines(Paths.get(from))) {
                String[] parts = line.split("\t", -1);
                StringBuilder answer = new StringBuilder();
                try {
                    Pattern pattern = paths == null ? Pattern.compile(parts[0]) : null;
                    for (int i = 1; i < parts.length; i++) {
                        boolean matches = paths == null ? pattern.matcher(parts[i]).matches() : paths.match(parts[0], parts[i]);
                        answer.append(matches ? '1' : '0');
                    }
                } catch (PatternSyntaxException e) {
                    answer.append('!');
                }
                out.print(answer + "\n");
            }
        }
    }
}
