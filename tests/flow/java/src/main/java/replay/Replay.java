package replay;

import com.alibaba.csp.sentinel.AsyncEntry;
import com.alibaba.csp.sentinel.EntryType;
import com.alibaba.csp.sentinel.Constants;
import com.alibaba.csp.sentinel.Env;
import com.alibaba.csp.sentinel.Tracer;
import com.alibaba.csp.sentinel.adapter.gateway.common.param.GatewayParamParser;
import com.alibaba.csp.sentinel.adapter.gateway.common.param.RequestItemParser;
import com.alibaba.csp.sentinel.adapter.gateway.common.rule.GatewayFlowRule;
import com.alibaba.csp.sentinel.adapter.gateway.common.rule.GatewayParamFlowItem;
import com.alibaba.csp.sentinel.adapter.gateway.common.rule.GatewayRuleManager;
import com.alibaba.csp.sentinel.context.ContextUtil;
import com.alibaba.csp.sentinel.node.ClusterNode;
import com.alibaba.csp.sentinel.node.DefaultNode;
import com.alibaba.csp.sentinel.node.Node;
import com.alibaba.csp.sentinel.node.StatisticNode;
import com.alibaba.csp.sentinel.node.metric.MetricNode;
import com.alibaba.csp.sentinel.slots.block.AbstractRule;
import com.alibaba.csp.sentinel.slots.block.BlockException;
import com.alibaba.csp.sentinel.slots.block.authority.AuthorityException;
import com.alibaba.csp.sentinel.slots.block.authority.AuthorityRule;
import com.alibaba.csp.sentinel.slots.block.authority.AuthorityRuleManager;
import com.alibaba.csp.sentinel.slots.block.degrade.DegradeException;
import com.alibaba.csp.sentinel.slots.block.degrade.DegradeRule;
import com.alibaba.csp.sentinel.slots.block.degrade.DegradeRuleManager;
import com.alibaba.csp.sentinel.slots.block.flow.FlowException;
import com.alibaba.csp.sentinel.slots.block.flow.FlowRule;
import com.alibaba.csp.sentinel.slots.block.flow.FlowRuleManager;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowException;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowItem;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowRule;
import com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowRuleManager;
import com.alibaba.csp.sentinel.slots.clusterbuilder.ClusterBuilderSlot;
import com.alibaba.csp.sentinel.slots.system.SystemBlockException;
import com.alibaba.csp.sentinel.slots.system.SystemRule;
import com.alibaba.csp.sentinel.slots.system.SystemRuleManager;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeMap;

/** Format of the sequences: tests/flow/README.md. */
public final class Replay {
    private static int sequence;
    private static boolean loaded;
    private static List<FlowRule> flow;
    private static List<DegradeRule> degrade;
    private static List<AuthorityRule> authority;
    private static List<SystemRule> system;
    private static List<ParamFlowRule> param;
    private static Set<GatewayFlowRule> gateway;
    /** Of each resource: the positions of the gateway rules by their argument. */
    private static final Map<String, List<Integer>> places = new HashMap<>();
    private static final GatewayParamParser<String[]> requests = new GatewayParamParser<>(new Requests());
    private static final List<String[]> rules = new ArrayList<>();
    private static int salt;
    private static final Map<String, AsyncEntry> running = new HashMap<>();

    private static String resource(String index) { return "r" + sequence + "_" + salt + "_" + index; }

    public static void run(String from, String to) throws Exception {
        StringBuilder answer = new StringBuilder();
        try (PrintWriter out = new PrintWriter(to, "UTF-8")) {
            for (String line : Files.readAllLines(Paths.get(from))) {
                begin();
                for (String step : line.split(";")) {
                    String[] w = step.split(" ");
                    if (!"EXBQSM".contains(w[0])) {
                        rules.add(w);
                        continue;
                    }
                    load();
                    Clock.nowMs += Long.parseLong(w[1]);
                    if (w[0].equals("X")) {
                        exit(w[2], w[3].equals("1"));
                    } else {
                        answer.append(answer.length() == 0 ? "" : " ").append(
                            w[0].equals("B") ? "" + burst(w) : w[0].equals("S") ? statistics(w) : w[0].equals("M") ? metrics(w) : enter(w));
                    }
                }
                finish(answer, out);
            }
        }
    }

    private static void finish(StringBuilder answer, PrintWriter out) {
        for (AsyncEntry entry : running.values()) {
            entry.exit();
        }
        running.clear();
        out.print(answer + "\n");
        answer.setLength(0);
    }

    private static void begin() {
        sequence++;
        // Far from the sequence before, so that nothing of it is left in the node of all entries.
        Clock.nowMs = 1_700_000_000_000L + sequence * 600_000L;
        rules.clear();
        loaded = false;
    }

    /** Sentinel asks some rules in the order of their hash codes: names are tried until that is the order of the list. */
    private static void load() {
        if (loaded) {
            return;
        }
        for (salt = 0;; salt++) {
            flow = new ArrayList<>();
            degrade = new ArrayList<>();
            authority = new ArrayList<>();
            system = new ArrayList<>();
            param = new ArrayList<>();
            gateway = new LinkedHashSet<>();
            places.clear();
            for (String[] w : rules) {
                rule(w);
            }
            ParamFlowRuleManager.loadRules(param);
            GatewayRuleManager.loadRules(gateway);
            if (loaded = inOrder()) {
                break;
            }
        }
        FlowRuleManager.loadRules(flow);
        DegradeRuleManager.loadRules(degrade);
        AuthorityRuleManager.loadRules(authority);
        SystemRuleManager.loadRules(system);
    }

    private static boolean inOrder() {
        for (int i = 0; i < 3; i++) {
            long last = -1;
            for (ParamFlowRule each : ParamFlowRuleManager.getRulesOfResource(resource("" + i))) {
                if (each.getId() < last) {
                    return false;
                }
                last = each.getId();
            }
            int lastIndex = 0;
            List<ParamFlowRule> converted = GatewayRuleManager.getConvertedParamRules(resource("" + i));
            for (ParamFlowRule each : converted == null ? List.<ParamFlowRule>of() : converted) {
                if (each.getParamIdx() < lastIndex) {
                    return false;
                }
                lastIndex = each.getParamIdx();
            }
        }
        return true;
    }

    private static void rule(String[] w) {
        boolean regex = w[0].endsWith("*");
        switch (w[0].substring(0, 1)) {
            case "F": {
                FlowRule rule = new FlowRule(resource(w[1]));
                rule.setRegex(regex);
                rule.setId((long) flow.size());
                rule.setLimitApp(w[2]);
                rule.setGrade(Integer.parseInt(w[3]));
                rule.setCount(Double.parseDouble(w[4]));
                rule.setStrategy(Integer.parseInt(w[5]));
                if (rule.getStrategy() == 1) {
                    rule.setRefResource(resource(w[6]));
                } else if (rule.getStrategy() == 2) {
                    rule.setRefResource("c" + w[6]);
                }
                rule.setControlBehavior(Integer.parseInt(w[7]));
                rule.setWarmUpPeriodSec(Integer.parseInt(w[8]));
                rule.setMaxQueueingTimeMs(Integer.parseInt(w[9]));
                flow.add(rule);
                break;
            }
            case "D": {
                DegradeRule rule = new DegradeRule(resource(w[1]));
                rule.setRegex(regex);
                rule.setId((long) degrade.size());
                rule.setGrade(Integer.parseInt(w[2]));
                rule.setCount(Double.parseDouble(w[3]));
                rule.setTimeWindow(Integer.parseInt(w[4]));
                rule.setMinRequestAmount(Integer.parseInt(w[5]));
                rule.setSlowRatioThreshold(Double.parseDouble(w[6]));
                rule.setStatIntervalMs(Integer.parseInt(w[7]));
                degrade.add(rule);
                break;
            }
            case "A": {
                AuthorityRule rule = new AuthorityRule();
                rule.setRegex(regex);
                rule.setId((long) authority.size());
                rule.setResource(resource(w[1]));
                rule.setLimitApp(w[2]);
                rule.setStrategy(Integer.parseInt(w[3]));
                authority.add(rule);
                break;
            }
            case "P": {
                ParamFlowRule rule = new ParamFlowRule(resource(w[1]));
                rule.setRegex(regex);
                rule.setId((long) param.size());
                rule.setParamIdx(Integer.parseInt(w[2]));
                rule.setGrade(Integer.parseInt(w[3]));
                rule.setCount(Double.parseDouble(w[4]));
                rule.setControlBehavior(Integer.parseInt(w[5]));
                rule.setBurstCount(Integer.parseInt(w[6]));
                rule.setDurationInSec(Long.parseLong(w[7]));
                rule.setMaxQueueingTimeMs(Integer.parseInt(w[8]));
                List<ParamFlowItem> items = new ArrayList<>();
                for (String item : w[9].equals("-") ? new String[0] : w[9].split(",")) {
                    String[] part = item.split(":");
                    items.add(new ParamFlowItem(part[1], Integer.parseInt(part[2]), part[0]));
                }
                rule.setParamFlowItemList(items);
                param.add(rule);
                break;
            }
            case "G": {
                GatewayFlowRule rule = new GatewayFlowRule(resource(w[1])).setResourceMode(Integer.parseInt(w[2])).setGrade(Integer.parseInt(w[3]))
                    .setCount(Double.parseDouble(w[4])).setIntervalSec(Long.parseLong(w[5])).setControlBehavior(Integer.parseInt(w[6]))
                    .setBurst(Integer.parseInt(w[7])).setMaxQueueingTimeoutMs(Integer.parseInt(w[8]));
                List<Integer> place = places.computeIfAbsent(rule.getResource(), name -> new ArrayList<>());
                if (!w[9].equals("-")) {
                    rule.setParamItem(new GatewayParamFlowItem().setParseStrategy(Integer.parseInt(w[9])).setFieldName("f")
                        .setPattern(w[10].equals("-") ? null : w[10]).setMatchStrategy(Integer.parseInt(w[11])));
                }
                place.add(gateway.size());
                gateway.add(rule);
                break;
            }
            case "Y": {
                SystemRule rule = new SystemRule();
                rule.setQps(Double.parseDouble(w[1]));
                rule.setAvgRt(Long.parseLong(w[2]));
                rule.setMaxThread(Long.parseLong(w[3]));
                system.add(rule);
                break;
            }
            default:
                throw new IllegalArgumentException(w[0]);
        }
    }

    private static void exit(String id, boolean failed) {
        AsyncEntry entry = running.remove(id);
        if (entry != null) {
            if (failed) {
                Tracer.traceEntry(new RuntimeException(), entry);
            }
            entry.exit();
        }
    }

    /** B dt resource from count: so many calls at once with a text of its own each, which end at once; how many passed. */
    private static int burst(String[] w) {
        int passed = 0;
        int from = Integer.parseInt(w[3]);
        for (int i = from; i < from + Integer.parseInt(w[4]); i++) {
            try {
                Env.sph.asyncEntryWithType(resource(w[2]), 0, EntryType.OUT, 1, false, new Object[] {"v" + i}).exit();
                passed++;
            } catch (BlockException e) {
                continue;
            }
        }
        return passed;
    }

    /** S dt who: what is counted for a resource (r), a resource in a context (c), a resource's origin (o) or an entrance (e). */
    private static String statistics(String[] w) {
        StatisticNode node = null;
        ClusterNode cluster = w[2].equals("e") ? null : ClusterBuilderSlot.getClusterNode(resource(w[3]));
        switch (w[2]) {
            case "r": node = cluster; break;
            case "o": node = cluster == null ? null : (StatisticNode) cluster.getOriginCountMap().get(w[4]); break;
            default:
                for (Node entrance : Constants.ROOT.getChildList()) {
                    DefaultNode each = (DefaultNode) entrance;
                    if (w[2].equals("e") && each.getId().getName().equals("c" + w[3])) {
                        node = each;
                    } else if (w[2].equals("c") && each.getId().getName().equals("c" + w[4])) {
                        for (Node child : each.getChildList()) {
                            node = ((DefaultNode) child).getId().getName().equals(resource(w[3])) ? (StatisticNode) child : node;
                        }
                    }
                }
        }
        if (node == null) {
            return "-";
        }
        // An entrance has no exceptions of its own in Sentinel.
        long exceptions = w[2].equals("e") ? -1 : (long) node.exceptionQps();
        long minuteExceptions = w[2].equals("e") ? -1 : node.totalException();
        return node.curThreadNum() + "/" + (long) node.passQps() + "/" + (long) node.blockQps() + "/" + (long) node.successQps() + "/" + exceptions + "/"
            + Math.round(node.avgRt() * 1000) + "/" + (node.totalRequest() - node.blockRequest()) + "/" + node.blockRequest() + "/" + minuteExceptions;
    }

    /** M dt resource: its seconds since the last time. */
    private static String metrics(String[] w) {
        StatisticNode node = ClusterBuilderSlot.getClusterNode(resource(w[2]));
        StringJoiner answer = new StringJoiner("+", "[", "]");
        if (node != null) {
            for (MetricNode each : new TreeMap<>(node.metrics()).values()) {
                answer.add((each.getTimestamp() - 1_700_000_000_000L) / 1000 + "/" + each.getPassQps() + "/" + each.getBlockQps() + "/" + each.getSuccessQps() + "/"
                    + each.getExceptionQps() + "/" + each.getRt() + "/" + each.getOccupiedPassQps());
            }
        }
        return answer.toString();
    }

    private static Object[] arguments(String text) {
        String[] words = text.split(",");
        Object[] values = new Object[words.length];
        for (int i = 0; i < words.length; i++) {
            if (words[i].startsWith("[")) {
                List<Object> list = new ArrayList<>();
                for (String each : words[i].substring(1).split("\\|")) {
                    if (!each.isEmpty()) {
                        list.add(value(each));
                    }
                }
                values[i] = list.size() % 2 == 0 ? list : list.toArray();
            } else {
                values[i] = value(words[i]);
            }
        }
        return values;
    }

    private static Object value(String word) {
        String text = word.substring(1);
        switch (word.charAt(0)) {
            case 's': return text;
            case 'i': return Integer.valueOf(text);
            case 'l': return Long.valueOf(text);
            case 'b': return Byte.valueOf(text);
            case 'h': return Short.valueOf(text);
            case 'd': return Double.valueOf(text);
            case 'f': return Float.valueOf(text);
            case 'c': return text.charAt(0);
            case 't': return Boolean.valueOf(text);
            case 'n': return null;
            default: throw new IllegalArgumentException(word);
        }
    }

    /** E dt resource context origin count flags id; flags: 1 prioritized, 2 inbound. */
    private static String enter(String[] w) {
        Clock.waitedNs = 0;
        int flags = Integer.parseInt(w[6]);
        ContextUtil.enter("c" + w[3], w[4].equals("-") ? "" : w[4]);
        Object[] arguments = w[0].equals("Q") ? requests.parseParameterFor(resource(w[2]), w, rule -> rule.getResourceMode() == 0)
            : w.length > 8 ? arguments(w[8]) : new Object[0];
        try {
            AsyncEntry entry = Env.sph.asyncEntryWithType(resource(w[2]), 0, (flags & 2) != 0 ? EntryType.IN : EntryType.OUT,
                Integer.parseInt(w[5]), (flags & 1) != 0, arguments);
            running.put(w[7], entry);
            return Clock.waitedNs == 0 ? "." : "w" + Clock.waitedNs;
        } catch (BlockException e) {
            if (e instanceof SystemBlockException) {
                return "Y" + ((SystemBlockException) e).getLimitType();
            }
            AbstractRule rule = e.getRule();
            if (rule instanceof ParamFlowRule && rule.getId() == null) {
                return "G" + places.get(resource(w[2])).get(((ParamFlowRule) rule).getParamIdx());
            }
            String kind = e instanceof FlowException ? "F" : e instanceof DegradeException ? "D" : e instanceof AuthorityException ? "A"
                : e instanceof ParamFlowException ? "P" : "?";
            return kind + rule.getId();
        } finally {
            ContextUtil.exit();
        }
    }

    /** The values of a request are the words after the id of its step. */
    private static final class Requests implements RequestItemParser<String[]> {
        private static String word(String[] w, int index) { return w[index].equals("-") ? null : w[index]; }

        @Override
        public String getPath(String[] w) { return "/"; }

        @Override
        public String getRemoteAddress(String[] w) { return word(w, 8); }

        @Override
        public String getHeader(String[] w, String key) { return word(w, key.equals("Host") ? 9 : 10); }

        @Override
        public String getUrlParam(String[] w, String name) { return word(w, 11); }

        @Override
        public String getCookieValue(String[] w, String name) { return word(w, 12); }
    }
}
