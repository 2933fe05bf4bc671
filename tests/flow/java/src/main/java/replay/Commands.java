package replay;

import com.alibaba.csp.sentinel.AsyncEntry;
import com.alibaba.csp.sentinel.EntryType;
import com.alibaba.csp.sentinel.Env;
import com.alibaba.csp.sentinel.Tracer;
import com.alibaba.csp.sentinel.command.CommandHandlerProvider;
import com.alibaba.csp.sentinel.context.ContextUtil;
import com.alibaba.csp.sentinel.node.metric.MetricNode;
import com.alibaba.csp.sentinel.node.metric.MetricSearcher;
import com.alibaba.csp.sentinel.node.metric.MetricWriter;
import com.alibaba.csp.sentinel.slots.block.BlockException;
import com.alibaba.csp.sentinel.transport.command.SimpleHttpCommandCenter;
import com.alibaba.csp.sentinel.transport.command.http.HttpEventTask;
import com.alibaba.csp.sentinel.util.HostNameUtil;
import java.io.PrintWriter;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What Sentinel's own command center answers, and what its metric log looks like. Format: tests/flow/README.md. */
public final class Commands {
    private static final Map<String, AsyncEntry> running = new HashMap<>();

    public static void run(String from, String to) throws Exception {
        Clock.nowMs = 1700000000000L;
        SimpleHttpCommandCenter.registerCommands(CommandHandlerProvider.getInstance().namedHandlers());
        try (PrintWriter out = new PrintWriter(to, "UTF-8"); ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            for (String line : Files.readAllLines(Paths.get(from))) {
                String[] w = line.split(" ");
                switch (w[0]) {
                    case "C" -> Clock.nowMs += Long.parseLong(w[1]);
                    case "E" -> enter(w);
                    case "X" -> {
                        AsyncEntry entry = running.remove(w[1]);
                        if (entry != null) {
                            if (w[2].equals("1")) {
                                Tracer.traceEntry(new RuntimeException("failed"), entry);
                            }
                            entry.exit();
                        }
                    }
                    case "GET" -> out.println(ask(server, "GET " + w[1] + " HTTP/1.1\r\nHost: x\r\n\r\n"));
                    case "POST" -> {
                        String body = w.length > 3 ? w[3] : "";
                        String type = w[2].equals("-") ? "" : "Content-Type: " + w[2] + "\r\n";
                        out.println(ask(server, "POST " + w[1] + " HTTP/1.1\r\nHost: x\r\n" + type + "Content-Length: "
                            + body.getBytes(StandardCharsets.UTF_8).length + "\r\n\r\n" + body));
                    }
                    default -> { }
                }
            }
        }
    }

    private static void enter(String[] w) {
        if (!w[2].equals("-")) {
            ContextUtil.enter(w[2], w[3].equals("-") ? "" : w[3]);
        }
        try {
            EntryType type = (Integer.parseInt(w[5]) & 2) != 0 ? EntryType.IN : EntryType.OUT;
            running.put(w[6], Env.sph.asyncEntry(w[1], type, Integer.parseInt(w[4])));
        } catch (BlockException refused) {
            // It counts as blocked.
        } finally {
            ContextUtil.exit();
        }
    }

    private static String ask(ServerSocket server, String request) throws Exception {
        try (Socket client = new Socket(server.getInetAddress(), server.getLocalPort()); Socket socket = server.accept()) {
            client.getOutputStream().write(request.getBytes(StandardCharsets.UTF_8));
            client.shutdownOutput();
            new HttpEventTask(socket).run();
            String answer = new String(client.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int head = answer.indexOf("\r\n\r\n");
            String body = answer.substring(head + 4)
                .replace("\"" + HostNameUtil.getHostName() + "\"", "\"HOST\"").replace("\"" + HostNameUtil.getIp() + "\"", "\"IP\"");
            body = body.replaceAll("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID").replaceAll("\"timestamp\":[0-9]+", "\"timestamp\":0");
            return answer.split(" ")[1] + " " + body.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
        }
    }

    /** Writes a log of the seconds in the file into csp.sentinel.log.dir: thin lines, in the order of their time. */
    public static void write(String from, String size) throws Exception {
        MetricWriter writer = new MetricWriter(Long.parseLong(size), 3);
        Field last = MetricWriter.class.getDeclaredField("lastSecond");
        last.setAccessible(true);
        last.set(writer, 1L);
        Map<Long, List<MetricNode>> seconds = new java.util.TreeMap<>();
        for (String line : Files.readAllLines(Paths.get(from))) {
            MetricNode node = MetricNode.fromThinString(line);
            seconds.computeIfAbsent(node.getTimestamp(), k -> new ArrayList<>()).add(node);
        }
        for (Map.Entry<Long, List<MetricNode>> second : seconds.entrySet()) {
            writer.write(second.getKey(), second.getValue());
        }
        writer.close();
    }

    /** Prints what Sentinel finds in a metric log: folder, file name, begin, end or -, maximum of lines or resource or -. */
    public static void search(String[] a) throws Exception {
        MetricSearcher searcher = new MetricSearcher(a[0], a[1]);
        List<MetricNode> found = a[3].equals("-") ? searcher.find(Long.parseLong(a[2]), Integer.parseInt(a[4]))
            : searcher.findByTimeAndResource(Long.parseLong(a[2]), Long.parseLong(a[3]), a[4].equals("-") ? null : a[4]);
        for (MetricNode node : found == null ? List.<MetricNode>of() : found) {
            System.out.println(node.toThinString());
        }
    }
}
