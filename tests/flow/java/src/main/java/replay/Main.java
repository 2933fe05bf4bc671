package replay;

import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassVisitor;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.MethodVisitor;
import org.objectweb.asm.Opcodes;

/** Loads Sentinel's own classes with their clock and their sleeps led to Clock, then replays. */
public final class Main {
    public static void main(String[] args) throws Exception {
        List<URL> path = new ArrayList<>();
        for (String part : System.getProperty("java.class.path").split(":")) {
            path.add(Paths.get(part).toUri().toURL());
        }
        ClassLoader loader = new Redirecting(path.toArray(new URL[0]));
        Thread.currentThread().setContextClassLoader(loader);
        if (args[0].equals("write") || args[0].equals("search")) {
            Class<?> commands = loader.loadClass("replay.Commands");
            if (args[0].equals("write")) {
                commands.getMethod("write", String.class, String.class).invoke(null, args[1], args[2]);
            } else {
                commands.getMethod("search", String[].class).invoke(null, (Object) java.util.Arrays.copyOfRange(args, 1, args.length));
            }
            System.exit(0);
        }
        String name = Paths.get(args[0]).getFileName().toString();
        String answers = name.equals("script.txt") ? "replay.Commands" : name.equals("rules.txt") ? "replay.Rules" : name.equals("patterns.txt") || name.equals("paths.txt") ? "replay.Patterns" : "replay.Replay";
        loader.loadClass(answers).getMethod("run", String.class, String.class).invoke(null, args[0], args[1]);
        System.exit(0);
    }

    static final class Redirecting extends URLClassLoader {
        Redirecting(URL[] path) { super(path, Main.class.getClassLoader()); }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("com.alibaba.csp.") && !name.startsWith("replay.Replay") && !name.equals("replay.Rules") && !name.equals("replay.Commands")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> known = findLoadedClass(name);
                if (known != null) {
                    return known;
                }
                try (InputStream in = getResourceAsStream(name.replace('.', '/') + ".class")) {
                    if (in == null) {
                        throw new ClassNotFoundException(name);
                    }
                    byte[] code = redirect(in.readAllBytes());
                    return defineClass(name, code, 0, code.length);
                } catch (java.io.IOException e) {
                    throw new ClassNotFoundException(name, e);
                }
            }
        }

        private static byte[] redirect(byte[] code) {
            ClassReader reader = new ClassReader(code);
            ClassWriter writer = new ClassWriter(reader, 0);
            boolean controller = reader.getClassName().contains("/slots/block/");
            reader.accept(new ClassVisitor(Opcodes.ASM9, writer) {
                @Override
                public MethodVisitor visitMethod(int access, String name, String type, String sign, String[] thrown) {
                    return new MethodVisitor(Opcodes.ASM9, super.visitMethod(access, name, type, sign, thrown)) {
                        @Override
                        public void visitMethodInsn(int op, String owner, String method, String args, boolean isInterface) {
                            boolean clock = owner.equals("com/alibaba/csp/sentinel/util/TimeUtil") && method.equals("currentTimeMillis")
                                || controller && (owner.equals("java/lang/System") && method.equals("nanoTime")
                                    || owner.equals("java/lang/Thread") && method.equals("sleep") && args.equals("(J)V")
                                    || owner.endsWith("locks/LockSupport") && method.equals("parkNanos") && args.equals("(J)V")
                                    || owner.endsWith("/TimeUnit") && method.equals("sleep"));
                            if (clock && owner.endsWith("/TimeUnit")) {
                                super.visitMethodInsn(Opcodes.INVOKESTATIC, "replay/Clock", method, "(Ljava/util/concurrent/TimeUnit;J)V", false);
                            } else if (clock && op == Opcodes.INVOKESTATIC) {
                                super.visitMethodInsn(op, "replay/Clock", method, args, false);
                            } else if (clock) {
                                throw new IllegalStateException("a sleep that is not redirected: " + owner);
                            } else {
                                super.visitMethodInsn(op, owner, method, args, isInterface);
                            }
                        }
                    };
                }
            }, 0);
            return writer.toByteArray();
        }
    }
}
